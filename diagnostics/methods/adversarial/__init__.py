"""Attacks: the smallest change of an image that changes the answer.

Promise of every attack here: pixels stay in [0, 1]; what an attack finds is asked about again, as
numbers and as the 8-bit picture saved as PNG and read again, and the answer has both; what it does
not find has no distance, which is never zero. A distance is an upper bound: a smaller change may
exist. `context.target` is the class to reach; None takes any other than the predicted one. Nothing
is random.
"""
