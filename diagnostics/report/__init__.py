"""Reports: what an inspection leaves on disk."""
