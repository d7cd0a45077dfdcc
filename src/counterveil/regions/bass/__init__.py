"""Bayesian Adaptive Superpixel Segmentation, our own implementation, compiled with numba."""

from counterveil.regions.bass.segmentation import Bass

__all__ = ["Bass"]
