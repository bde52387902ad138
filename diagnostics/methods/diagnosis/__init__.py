"""Diagnosis: why the model is so sure of an image, by interventions that would take it away."""
