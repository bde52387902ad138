"""Widgets: what every page draws with."""
