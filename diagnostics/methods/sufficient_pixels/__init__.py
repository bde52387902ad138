"""Sufficient pixels: which few pixels alone keep the model sure.

Promise of every method here: it looks at the samples of a `Context` and returns an `Outcome`: for
each image how few pixels reach the threshold, in which order the others were hidden, how sure
the model was on the way, and what may be read from it under the controls. Pixels are hidden whole,
all channels together; the same context and seed give the same outcome. A subset's size is the
number of its pixels, fewer is smaller; a pixel that was never hidden stands at +inf in the order.
"""
