"""Benchmarks: counterfactuals, attribution maps and reasoners against the scenes' ground truth."""
