"""Training of the classifiers and of the reasoner; the run-time package never imports it."""
