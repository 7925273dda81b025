"""The unmanaged endpoints that were seen beside the bindings, in sentences."""

from __future__ import annotations

from reconciler.model import NotManaged
from reconciler.render.cells import counted, few

MOST = 10  # that a page names


def unmanaged_text(seen: NotManaged | None, *, names: bool) -> list[str]:
    """How many they are and, with `names`, a line for each; and what could not be listed."""
    if seen is None:
        return []
    lines = [f"{e.name}: {e.kind} · {e.address}" for e in seen.found if names]
    if seen.found:
        how = "" if names else "-v names them, and "
        many = counted(len(seen.found), "endpoint")
        lines.insert(0, f"{many} unmanaged ({how}`reconciler import` declares them)")
    return [*lines, *_unread(seen)]


def unmanaged_sentences(seen: NotManaged | None) -> list[str]:
    """How many they are with the first names, and what could not be listed: for a page."""
    if seen is None:
        return []
    lines = _unread(seen)
    if seen.found:
        names = few([endpoint.name for endpoint in seen.found], MOST)
        lines.insert(0, f"{counted(len(seen.found), 'endpoint')} unmanaged: {names}")
    return lines


def _unread(seen: NotManaged) -> list[str]:
    return [f"unmanaged endpoints could not be listed: {why}" for why in seen.unread]
