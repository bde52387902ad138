"""The parts of `make rates`: error rates and quality, which do not depend on the clock."""
