"""The online store: Feast's plug-in over the packed rows of `boxplat.features.rows`, and columnar reads without Feast.

`plugin` is what Feast loads; it, `plans`, `response`, `values`, `writing` and `foreign` import Feast. No other module
does: the rest is for programs that must start at once.
"""
