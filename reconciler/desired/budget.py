"""How large a desired state may become: counted before anything is made of it.

A few hundred kilobytes can stand for gigabytes: a long text of a `forEach`, a placeholder that is
repeated in a model, a list of empty lists. A validation of somebody else's branch must not fill the
machine, so whatever multiplies takes from one budget first.
"""

from __future__ import annotations

from reconciler.errors import ConfigurationError, Problem
from reconciler.model import Source

MOST_VALUES = 3_000_000  # about half a gigabyte, and a hundred thousand bindings
MOST_CHARACTERS = 128 * 1024 * 1024
_WHY = (
    f"the desired state would become more than {MOST_VALUES:,} values or {MOST_CHARACTERS:,} "
    "characters here; declare fewer or shorter ones"
)


class Budget:
    """The rest of the budget for one tree."""

    def __init__(self) -> None:
        self._values = MOST_VALUES
        self._characters = MOST_CHARACTERS

    def take(self, where: Source, values: int, characters: int = 0) -> None:
        """Make room for so many more; ConfigurationError where there is none."""
        self._values -= values
        self._characters -= characters
        if self._values < 0 or self._characters < 0:
            problem = Problem(where.path, where.line, where.column, _WHY, rule="file")
            raise ConfigurationError([problem])

    def take_json(self, where: Source, text: str) -> None:
        """Make room for what a JSON text may hold, by its separators; each value has about two."""
        self.take(where, sum(map(text.count, ",[{")) // 2, len(text))
