"""Code of a user's own, named in a config: where it lies, what of it is used, and how it is run."""
