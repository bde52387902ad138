"""Fooling images: pictures made from nothing that a model is sure of.

Promise of every method here: it looks at the model alone, not at the images in hand, and returns an
`Outcome` with the surest picture found of each class that is meant, in the array "pictures", 8 bit,
shape (n, h, w, c), in the order of the score "pictures". Each class's probability is that of
the very picture that is given, as rounded to 8 bits, with its distance from one; nothing is found
for a class whose entry holds None. "trace" is log(p / (1 − p)) of the classes "traced" at the
steps "trace_at". The same model, options and seed give the same pictures.
"""
