"""Counterveil makes unsafe images safe to look at."""

__version__ = "0.1.0"
