"""Schema: plain data that crosses a process border, and the protocol of those who answer."""
