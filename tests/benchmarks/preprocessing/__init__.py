"""How often the preprocessing check names a planted error, and accuses a healthy network."""
