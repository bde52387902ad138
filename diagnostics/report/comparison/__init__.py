"""What is drawn of several models side by side."""
