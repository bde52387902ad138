"""What is written and drawn of the preprocessing check."""
