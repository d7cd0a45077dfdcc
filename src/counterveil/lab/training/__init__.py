"""Training the classifiers; run-time rooms never import this."""
