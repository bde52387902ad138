"""Fooling images: images made from nothing that a model is confident about.

Promise of every method here: it looks at the model alone, not at the images in hand, and returns an
`Outcome` with the most confident image found of each target class. A class's probability is that of
the very image that is returned, as rounded to 8 bits, with its exact complement. The same model,
options and seed give the same images.
"""
