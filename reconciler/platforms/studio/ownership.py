"""Pure: the tags that say which environment a New web service belongs to.

Only what this program made carries them, and only what carries them is ever deleted by it. ARM
matches the names of tags in any case; a person may write the values in any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGER, MANAGED_BY = "reconciler", "managed-by"
ENVIRONMENT = "reconciler-environment"
PROTECT = "reconciler-protect"


def tags_of(mark: str) -> dict[str, str]:
    """The tags of what belongs to the environment with this mark."""
    return {MANAGED_BY: MANAGER, ENVIRONMENT: mark}


def marked(tags: Mapping[str, str], mark: str, *, protect: bool) -> dict[str, str]:
    """The tags, and that the service belongs to this environment, whoever it belonged to."""
    return with_protection(_with(tags, tags_of(mark)), protect=protect)


def with_protection(tags: Mapping[str, str], *, protect: bool) -> dict[str, str]:
    """The tags, and whether the service is protected.

    The tag stays and says `false`: left out, it would be gone after a PATCH that replaces the
    tags, and still there after one that merges them (§3.7).
    """
    if not protect and not any(name.casefold() == PROTECT for name in tags):
        return dict(tags)
    return _with(tags, {PROTECT: str(protect).lower()})


def is_ours(tags: Mapping[str, str], mark: str) -> bool:
    """Whether the tags say that the service belongs to the environment with this mark."""
    said = _folded(tags)
    return all(said.get(name) == value.casefold() for name, value in tags_of(mark).items())


def owner_of(tags: Mapping[str, str]) -> str:
    """The mark of the environment that the service belongs to, "" if it belongs to none."""
    said = _folded(tags)
    return said.get(ENVIRONMENT, "") if said.get(MANAGED_BY) == MANAGER else ""


def is_protected(tags: Mapping[str, str]) -> bool:
    """Whether the tags say that nothing may be changed here."""
    return _folded(tags).get(PROTECT) == "true"


def how_to_tag(resource: str, mark: str) -> str:
    """The command that makes a service belong to an environment; tags it has are kept."""
    tags = " ".join(f"{name}={value}" for name, value in tags_of(mark).items())
    return f"az tag update --operation merge --resource-id '{resource}' --tags {tags}"


def _with(tags: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    return {**{name: v for name, v in tags.items() if name.casefold() not in ours}, **ours}


def _folded(tags: Mapping[str, str]) -> dict[str, str]:
    return {name.casefold(): value.casefold() for name, value in tags.items()}
