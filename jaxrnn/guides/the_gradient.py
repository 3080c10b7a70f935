"""The gradient.

.. include:: the_gradient.md
"""
