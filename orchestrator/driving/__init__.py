"""The driver: one Ray job that takes an experiment through its phases, trial by trial, and records every report."""
