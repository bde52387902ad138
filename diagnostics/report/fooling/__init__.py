"""What is drawn of fooling images."""
