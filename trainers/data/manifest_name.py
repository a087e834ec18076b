"""How a manifest's file is called."""

SUFFIX = ".manifest.parquet"
INCOMPLETE = "-incomplete"
"""Ends the name of a manifest whose counts are not the published ones: tables call the data set by that name."""
