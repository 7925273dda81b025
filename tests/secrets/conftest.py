"""The command line of tests/cli, against the same laboratory."""

from tests.cli.conftest import command, lab

__all__ = ["command", "lab"]
