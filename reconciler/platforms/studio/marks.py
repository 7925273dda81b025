"""Pure: the mark in a description, where a resource has no tags.

Only what carries a mark is ever deleted by this program; what somebody else had made is `adopted`,
and deleted by name only. A New web service carries its mark in tags (arm_marks.py). A Classic
endpoint has none (§2.6), so its mark stands at the end of its description, where everybody sees it:

    Rental location 1
    [reconciler: production@mlproduction/models, protected]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from reconciler.platforms.arm_marks import Mark

_FLAGS = r"(?P<adopted>, adopted)?(?P<protected>, protected)?"
_MARK = re.compile(rf"(?<!\s)\s*\[reconciler: (?P<mark>[^\],\s]+){_FLAGS}\]\s*\Z")


@dataclass(frozen=True)
class Described:
    """A description taken apart: what people wrote, which can be declared, and the mark."""

    text: str
    mark: Mark = field(default_factory=Mark)

    def __str__(self) -> str:
        """The description as the service keeps it."""
        if not self.mark.environment:
            return self.text
        words = {"adopted": self.mark.adopted, "protected": self.mark.protected}
        mark = ", ".join([self.mark.environment, *(word for word, holds in words.items() if holds)])
        mark = f"[reconciler: {mark}]"
        return f"{self.text}\n{mark}" if self.text else mark


def described(description: str) -> Described:
    """The parts of a description."""
    match = _MARK.search(description)
    if match is None:
        return Described(description.strip())
    mark = Mark(match["mark"], bool(match["protected"]), bool(match["adopted"]))
    return Described(description[: match.start()].strip(), mark)
