"""Inspection: what a page needs to know before it asks, such as what a method costs."""
