"""What is drawn of OOD scores."""
