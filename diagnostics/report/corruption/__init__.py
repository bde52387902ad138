"""What is drawn of corruptions."""
