"""Attacks: the smallest change of an image that changes the answer.

Promise of every attack here: pixels stay in [0, 1]; what is found is asked about again, as numbers
and as the 8-bit picture saved as PNG and read again, and both answers are told; nothing found is
told as "not found", never as zero. A distance is an upper bound: a smaller change may exist.
`context.target` is the class to be said; None takes any other than the one said. Nothing is random.
"""
