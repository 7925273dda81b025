"""Rights of the signed-in identity in Azure Resource Manager: asked for, never tried.

`GET {scope}/providers/Microsoft.Authorization/permissions` lists the roles of whoever asks, also
those of scopes above [D]. Each allows its `actions` without its `notActions`. It shows no deny
assignment and no condition of a role: an action that it allows may still be refused, and one that
it does not allow is refused for certain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from reconciler.errors import WireError
from reconciler.http.asking import Credential
from reconciler.http.client import Http
from reconciler.model import Check, Level
from reconciler.platforms.arm import read_list
from reconciler.platforms.members import member

API_VERSION = "2022-04-01"


def rights_checks(
    http: Http, token: Credential, scope: str, needs: Mapping[str, str], fix: str, below: str
) -> Iterator[Check]:
    """A finding where no role of this identity allows an action at the URL of a scope, or where
    nobody may ask. `needs` are actions, with what a run does by each; most are `below` a type,
    which is said once, or their names would be wider than a terminal.

    An identity with none of them was made to plan, and that is no error.
    """
    yield from rights_check(needs, lambda: lacking(http, token, scope, needs), fix, below)


def lacking(http: Http, token: Credential, scope: str, needs: Mapping[str, str]) -> dict[str, str]:
    """The needs that no role of this identity allows at the URL of a scope; WireError where nobody
    may ask."""
    what = "asking for the rights of this identity"
    url = f"{scope}/providers/Microsoft.Authorization/permissions?api-version={API_VERSION}"
    roles = read_list(http, token, url, what)
    return {action: does for action, does in needs.items() if not allows(roles, action)}


def rights_check(
    needs: Mapping[str, str], asked: Callable[[], Mapping[str, str]], fix: str, below: str
) -> Iterator[Check]:
    """The finding about those of the needs that are `asked` for and lacking."""
    if not needs:
        return
    try:
        lacks = asked()
    except WireError as exc:
        yield Check("rights", Level.WARNING, f"what a run may write is not known: {exc.message}")
        return
    if not lacks:
        yield Check("rights", Level.FINE, f"all {len(needs)} that a run may need")
    elif len(lacks) == len(needs):
        why = "this identity may write nothing here: it can plan, and not apply"
        yield Check("rights", Level.WARNING, why, fix)
    else:
        names = {action: action.removeprefix(f"{below}/") for action in lacks}
        listed = "; ".join(f"{does} ({names[action]})" for action, does in lacks.items())
        why = f"no role of this identity lets it {listed}; actions are below {below}"
        yield Check("rights", Level.ERROR, why, fix)


def allows(roles: Iterable[Mapping[str, Any]], action: str) -> bool:
    """Whether one of these roles allows an action; what another takes away does not count."""
    return any(
        _covers(member(role, "actions"), action) and not _covers(member(role, "notActions"), action)
        for role in roles
    )


def _covers(patterns: object, action: str) -> bool:
    """Whether an action is among patterns, in which a star stands for any part of a name."""
    return isinstance(patterns, list) and any(
        re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), action, re.IGNORECASE)
        for pattern in patterns
        if isinstance(pattern, str)
    )
