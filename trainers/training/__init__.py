"""One trial from its config to its result."""
