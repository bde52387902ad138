"""Views: what a page draws of one topic, with the controls that ask for it."""
