"""Metrics: numbers from predictions and labels, in numpy alone."""
