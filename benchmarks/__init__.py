"""Benchmarks that are run, and the figures of all that were."""
