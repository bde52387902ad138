"""What is drawn of the preprocessing check."""
