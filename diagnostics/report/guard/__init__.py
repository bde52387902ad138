"""What is drawn of guards."""
