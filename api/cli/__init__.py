"""The command line: `sigmalab`. One file for each group of commands; `main` is the entry point."""

from api.cli.application import main

__all__ = ["main"]
