"""Somebody's own package, as docs/your-own-change.md uses it."""
