"""Methods: a folder is a family, a file is a method."""
