"""Writing a cell.

.. include:: writing_a_cell.md
"""
