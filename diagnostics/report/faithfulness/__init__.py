"""What is drawn of the trust in heatmaps."""
