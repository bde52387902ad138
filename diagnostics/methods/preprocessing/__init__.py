"""Preprocessing: do the images reach the network as it was trained to receive them?"""
