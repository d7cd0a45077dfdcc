"""Masks beyond one search: whole objects, and one mask for several categories."""
