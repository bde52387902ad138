"""Dialogs: they open over a page and hand something over."""
