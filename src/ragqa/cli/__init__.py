"""The command line: parse, one library call, print. One file per command group."""

from ragqa.cli.app import app, main

__all__ = ["app", "main"]
