"""What is drawn of calibration."""
