"""What is drawn of images and layers side by side."""
