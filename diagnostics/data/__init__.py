"""Data: bytes become arrays; images, folders of them, class names, samples and noise."""
