"""What NaN means.

.. include:: what_nan_means.md
"""
