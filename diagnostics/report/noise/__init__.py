"""What is drawn of noise."""
