"""What is written and drawn of OOD scores."""
