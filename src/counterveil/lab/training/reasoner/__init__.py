"""Train the reasoner: questions and true answers, a small model from scratch, and its lessons."""
