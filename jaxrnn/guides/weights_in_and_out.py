"""Weights in and out.

.. include:: weights_in_and_out.md
"""
