"""Growing.

.. include:: growing.md
"""
