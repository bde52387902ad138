"""Reference: what a model gives for in-distribution images, which new images are compared with."""
