"""Training of the reasoner: data, pretraining of a small model, fine-tuning, calibration."""
