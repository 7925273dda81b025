"""A list of ARM resources, read to its end: what is not in it is not there.

Facts: STUDIO_PROTOCOL.md §3.2: `{value: [sparse], nextLink}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.errors import UnreadableError
from reconciler.platforms.studio.members import member, text

if TYPE_CHECKING:
    from reconciler.http.client import Http
    from reconciler.http.credentials import Credential

MOST_PAGES = 1_000  # a resource group holds 800 resources of a kind


def read_list(http: Http, credential: Credential, url: str, what: str) -> list[dict[str, Any]]:
    """Every item of the list at `url`; raises WireError unless all of its pages were read.

    The credential refuses a `nextLink` that leads to another host.
    """
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    firsts: set[str] = set()
    while url:
        if url in seen:
            raise UnreadableError(f"{what}: page {len(seen):,} leads back to one that was read")
        if len(seen) >= MOST_PAGES:
            raise UnreadableError(f"{what}: there is no end after {MOST_PAGES:,} pages")
        seen.add(url)
        answer = http.request("GET", url, credential=credential, what=what)
        page = answer.json_object()
        items = member(page, "value")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise answer.unreadable('a page with a list "value" of objects')
        first = text(items[0], "id") if items else ""
        if first in firsts:
            raise UnreadableError(f"{what}: page {len(seen):,} is one that was read before")
        firsts.update(filter(None, [first]))
        found.extend(items)
        url = text(page, "nextLink")
    return found
