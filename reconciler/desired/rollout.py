"""How a version is given out, as an environment or a model says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model import Rollout

if TYPE_CHECKING:
    from reconciler.desired.nodes import Document

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def rollout(document: Document) -> Rollout | None:
    """The rollout that the document declares; None where it says nothing."""
    block = document.data["spec"].get("rollout")
    if block is None:
        return None
    then = block.get("then", "100%")
    return Rollout(
        first=block.get("first", 1),
        then=int(then.removesuffix("%")),
        percent=then.endswith("%"),
        pause_s=seconds(block.get("pause", "0s")),
        soak_s=seconds(block.get("soak", "0s")),
    )


def seconds(text: str) -> float:
    """How long `90s`, `30m`, `2h` or `7d` is."""
    return int(text[:-1]) * _SECONDS[text[-1]]
