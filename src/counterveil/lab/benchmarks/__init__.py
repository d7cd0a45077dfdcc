"""Measuring: classifiers, counterfactuals and partitions against the truth."""
