"""Pure: the mark in a description, where a resource has no tags.

Only what this program made carries a mark, and only what carries one is ever deleted by it. A New
web service carries it in tags (arm_marks.py); a Classic endpoint has none (§2.6), so its mark
stands at the end of its description, where everybody can see it:

    Rental location 1
    [reconciler: production@mlproduction/models, protected]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from reconciler.platforms.arm_marks import Mark

_MARK = re.compile(r"(?<!\s)\s*\[reconciler: (?P<mark>[^\],\s]+)(?P<protected>, protected)?\]\s*\Z")


@dataclass(frozen=True)
class Described:
    """A description taken apart: what people wrote, which can be declared, and the mark."""

    text: str
    mark: Mark = field(default_factory=Mark)

    def __str__(self) -> str:
        """The description as the service keeps it."""
        if not self.mark.environment:
            return self.text
        protected = ", protected" if self.mark.protected else ""
        mark = f"[reconciler: {self.mark.environment}{protected}]"
        return f"{self.text}\n{mark}" if self.text else mark


def described(description: str) -> Described:
    """The parts of a description."""
    match = _MARK.search(description)
    if match is None:
        return Described(description.strip())
    mark = Mark(match["mark"], bool(match["protected"]))
    return Described(description[: match.start()].strip(), mark)
