"""Alembic's environment; part of the package, so that an installed sigmalab finds it."""
