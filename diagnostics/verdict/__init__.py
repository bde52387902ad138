"""The verdict: what findings together say of an answer. It computes nothing of a network."""
