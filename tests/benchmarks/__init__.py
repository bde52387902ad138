"""How long things take, and how often they are right: `make bench` and `make rates`."""
