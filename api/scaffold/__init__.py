"""The package that `sigmalab new` writes: its files, and how they get their name."""
