"""The emulator without sockets: a requests adapter as a transport of our client."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import requests

from reconciler.http.transport import HEADERS, Raw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests.adapters import BaseAdapter


class Door:
    """The in-process door: `http.mount(url, Door(adapter))`."""

    def __init__(self, adapter: BaseAdapter) -> None:
        self._adapter = adapter

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | IO[bytes] | None,
        check: Callable[[], None],  # noqa: ARG002 - it makes no connection
    ) -> Raw:
        """The answer of the adapter."""
        sent = {**HEADERS, **headers}
        asking = requests.Request(method, url, headers=sent, data=content).prepare()
        try:
            answer = self._adapter.send(asking, stream=True)
        except requests.ConnectionError as exc:
            raise ConnectionError("the connection was dropped") from exc
        return Raw(answer.status_code, answer.headers, answer.iter_content(65536), answer.close)

    def close(self) -> None:
        """Close the adapter."""
        self._adapter.close()
