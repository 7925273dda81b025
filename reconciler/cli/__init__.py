"""The command line: composes, reads the clock, prints, exits. `main` is the console script."""

from __future__ import annotations

from reconciler.cli.main import main

__all__ = ["main"]
