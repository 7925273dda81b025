"""The mark of who made an endpoint, at the end of its description, where everybody can see it.

    Rental location 1
    [reconciler: production@mlproduction/models, protected]

Classic endpoints have no tags (§2.6). The mark is no part of the description that can be declared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARK = re.compile(r"(?<!\s)\s*\[reconciler: (?P<mark>[^\],\s]+)(?P<protected>, protected)?\]\s*\Z")


@dataclass(frozen=True)
class Described:
    """A description taken apart: what people wrote, the mark ("": none), and `protect` in it."""

    text: str
    mark: str = ""
    protected: bool = False

    def __str__(self) -> str:
        """The description as the service keeps it."""
        if not self.mark:
            return self.text
        mark = f"[reconciler: {self.mark}{', protected' if self.protected else ''}]"
        return f"{self.text}\n{mark}" if self.text else mark

    def is_of(self, mark: str) -> bool:
        """Whether it carries this mark; case does not tell marks apart."""
        return self.mark.casefold() == mark.casefold()


def described(description: str) -> Described:
    """The parts of a description."""
    found = _MARK.search(description)
    if found is None:
        return Described(description.strip())
    return Described(description[: found.start()].strip(), found["mark"], bool(found["protected"]))
