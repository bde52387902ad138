"""Tests of what is shown and written."""
