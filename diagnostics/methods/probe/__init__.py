"""Probes: what a model does with many images at once.

Promise of every probe here: it looks at a `Study` and returns an `Outcome`, JSON and named arrays;
the same study and seed give the same outcome; every rate carries the number of images behind it.
"""
