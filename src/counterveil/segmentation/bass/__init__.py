"""Bayesian Adaptive Superpixel Segmentation (BASS): our own implementation, compiled with numba."""

from counterveil.segmentation.bass.segmentation import Bass

__all__ = ["Bass"]
