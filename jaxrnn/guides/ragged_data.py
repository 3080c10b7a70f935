"""Ragged data.

.. include:: ragged_data.md
"""
