"""Models: the classifier behind one protocol, its layers, head and outputs."""
