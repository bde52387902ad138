"""How long things take, as ratios within one run on this machine: `make bench`."""
