"""Make the index of known networks: python -m diagnostics.loaders [--if-stale]."""

from diagnostics.loaders.index import main

main()
