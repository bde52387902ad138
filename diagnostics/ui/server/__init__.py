"""The server: how the app is launched, what it takes in, and who may use it."""
