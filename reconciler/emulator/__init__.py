"""The cloud in a box: Azure Machine Learning, Studio and v2, and the Blob storage that it needs.

It imports nothing of the rest of this package: it is met on the wire only, so that a misreading
of the protocol cannot hide in a shared helper. One core, two doors: `InProcessAdapter` for tests
without sockets, `serve` for a server on 127.0.0.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.emulator.cloud import Cloud
from reconciler.emulator.faults import Fault
from reconciler.emulator.options import ManualClock, Options
from reconciler.emulator.server import Server, serve

if TYPE_CHECKING:
    from reconciler.emulator.inprocess import InProcessAdapter

__all__ = ["Cloud", "Fault", "InProcessAdapter", "ManualClock", "Options", "Server", "serve"]

NAME = "Azure Machine Learning: Studio (retired 31 Aug 2024) and v2"


def __getattr__(name: str) -> Any:
    """`InProcessAdapter`, whose module needs requests, is loaded when it is asked for."""
    if name == "InProcessAdapter":
        from reconciler.emulator.inprocess import InProcessAdapter

        return InProcessAdapter
    raise AttributeError(name)
