"""How fast jaxrnn is: next to other libraries, and next to the hardware's limit.

`python -m benchmarks layer` (or another suite) measures; `python -m benchmarks readme` writes the
README's table from the kept results.
NOTES.md has the methodology.
"""
