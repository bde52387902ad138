"""What is drawn of smallest changes."""
