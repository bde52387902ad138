"""Preprocessing: a decoded image becomes what the network receives, stage by stage."""
