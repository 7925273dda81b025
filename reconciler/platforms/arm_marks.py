"""Pure: the mark that says which environment a resource of ARM belongs to.

Only what carries one is ever deleted by this program. What somebody else had made is marked as
adopted as well, and is deleted by name only. The mark stands in tags, whose names ARM matches in
any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MANAGER, MANAGED_BY = "reconciler", "managed-by"
ENVIRONMENT = "reconciler-environment"
PROTECT = "reconciler-protect"
ADOPTED = "reconciler-adopted"


@dataclass(frozen=True)
class Mark:
    """Which environment something belongs to, "" for none; whether it is protected, and whether
    somebody else had made it. `manager` is the other tool that a tag names, "" for none."""

    environment: str = ""
    protected: bool = False
    adopted: bool = False
    manager: str = ""

    @property
    def is_nobodys(self) -> bool:
        """Whether it may be marked: a tool whose tag were overwritten would write it back."""
        return not (self.environment or self.manager)

    def is_of(self, environment: str) -> bool:
        """Whether it is this environment's; case does not tell marks apart."""
        ours = self.environment.casefold()
        return bool(ours) and ours == environment.casefold()


def tagged(tags: Mapping[str, str]) -> Mark:
    """The mark that tags make."""
    known = {name.casefold(): value.casefold() for name, value in tags.items()}
    manager = known.get(MANAGED_BY, "")
    protected, adopted = (known.get(tag) == "true" for tag in (PROTECT, ADOPTED))
    if manager == MANAGER:
        return Mark(known.get(ENVIRONMENT, ""), protected, adopted)
    return Mark("", protected, adopted, manager)


def with_mark(
    tags: Mapping[str, str], environment: str, *, protect: bool, adopted: bool = False
) -> dict[str, str]:
    """The tags, and that it belongs to this environment, whoever it belonged to."""
    ours = {**_tags_of(environment), **({ADOPTED: "true"} if adopted else {})}
    return with_protection(_with(tags, ours), protect=protect)


def owned_by(tags: Mapping[str, str], environment: str, *, protect: bool) -> dict[str, str]:
    """The tags of what is there, with our mark and its protection; another's mark stays."""
    owner = tagged(tags)
    if owner.is_nobodys:
        return with_mark(tags, environment, protect=protect, adopted=True)
    return with_protection(tags, protect=protect) if owner.is_of(environment) else dict(tags)


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
