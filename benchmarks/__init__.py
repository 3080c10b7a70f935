"""How fast jaxrnn is: next to other libraries, and next to the hardware's limit.

`python -m benchmarks layer` (or another suite) measures; `python -m benchmarks report` writes the
results' page from the kept records.
NOTES.md has the methodology.
"""
