"""A training that is a program of the user's own: how it is called, where its numbers are read, and how it is run."""
