"""Perturbation: does a random change of an image, or of one pixel, change the answer?"""
