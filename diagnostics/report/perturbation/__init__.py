"""What is drawn of random changes and single pixels."""
