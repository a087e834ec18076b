"""One subject of a report each, with its tables and pictures."""
