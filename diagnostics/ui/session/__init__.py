"""The session: what one person has in hand."""
