"""The session: models, images and choices of one person."""
