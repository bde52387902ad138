"""Loaders: one file for each format, and the recognition of networks from their tensors."""
