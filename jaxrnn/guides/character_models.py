"""Character models.

.. include:: character_models.md
"""
