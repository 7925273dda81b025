"""Pure: the mark that says which environment a resource of ARM belongs to.

Only what this program made carries one, and only what carries one is ever deleted by it. It stands
in tags, whose names ARM matches in any case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGER, MANAGED_BY = "reconciler", "managed-by"
ENVIRONMENT = "reconciler-environment"
PROTECT = "reconciler-protect"


@dataclass(frozen=True)
class Mark:
    """Which environment something belongs to, "" for none, and whether it is protected."""

    environment: str = ""
    protected: bool = False

    def is_of(self, environment: str) -> bool:
        """Whether it is this environment's; case does not tell marks apart."""
        ours = self.environment.casefold()
        return bool(ours) and ours == environment.casefold()


def tagged(tags: Mapping[str, str]) -> Mark:
    """The mark that tags make."""
    known = {name.casefold(): value.casefold() for name, value in tags.items()}
    ours = known.get(MANAGED_BY) == MANAGER
    return Mark(known.get(ENVIRONMENT, "") if ours else "", known.get(PROTECT) == "true")


def with_mark(tags: Mapping[str, str], environment: str, *, protect: bool) -> dict[str, str]:
    """The tags, and that it belongs to this environment, whoever it belonged to."""
    return with_protection(_with(tags, _tags_of(environment)), protect=protect)


def with_protection(tags: Mapping[str, str], *, protect: bool) -> dict[str, str]:
    """The tags, and whether it is protected.

    The tag stays and says `false`: left out, it would be gone after a PATCH that replaces the
    tags, and still there after one that merges them (§3.7).
    """
    if not protect and not any(name.casefold() == PROTECT for name in tags):
        return dict(tags)
    return _with(tags, {PROTECT: str(protect).lower()})


def how_to_tag(resource: str, environment: str) -> str:
    """The command that makes a resource belong to an environment; tags it has are kept."""
    tags = " ".join(f"{name}={value}" for name, value in _tags_of(environment).items())
    return f"az tag update --operation merge --resource-id '{resource}' --tags {tags}"


def _tags_of(environment: str) -> dict[str, str]:
    return {MANAGED_BY: MANAGER, ENVIRONMENT: environment}


def _with(tags: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    return {**{name: v for name, v in tags.items() if name.casefold() not in ours}, **ours}
