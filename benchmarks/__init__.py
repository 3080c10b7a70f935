"""How fast jaxrnn is: next to other libraries, and next to the hardware's limit.

`python -m benchmarks layer` (or train, sample, compile, memory, scaling) measures;
`python -m benchmarks readme` writes the README's table from the kept results.
NOTES.md says how it is measured and why in that way.
"""
