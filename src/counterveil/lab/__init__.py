"""The laboratory: drawn scenes, training and benchmarks. The run-time package never imports it."""
