"""What is drawn of sufficient pixels."""
