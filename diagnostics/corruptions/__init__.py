"""Corruptions: what an image can go through on its way to a model, one registered function each."""
