"""Noise: how sure is a model of images that show nothing, and at which layer?"""
