"""Reading the pages.

.. include:: reading_the_pages.md
"""
