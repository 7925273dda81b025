"""The scoring requests that bindings name: JSON files of the same tree."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from reconciler.desired.files import read_object
from reconciler.desired.nodes import problem
from reconciler.desired.tree import CannotReadError, beside, read_text
from reconciler.model import Expectation, Probe
from reconciler.secrecy import looks_secret, plain_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from reconciler.desired.budget import Budget
    from reconciler.desired.nodes import Document
    from reconciler.errors import Problem


class Probes:
    """The probe files of a tree; each is read once, however many bindings name it."""

    def __init__(self, root: Path, budget: Budget) -> None:
        self._root = root
        self._budget = budget
        self._inside = root.resolve()
        self._read: dict[PurePosixPath, str | CannotReadError] = {}

    def probe(
        self, document: Document, folder: PurePosixPath
    ) -> tuple[Probe | None, list[Problem]]:
        """What the binding's `verify` says; None if it has none or the file is not usable."""
        verify = document.data["spec"].get("verify")
        if verify is None:
            return None, []
        try:
            request = self._request(document, folder, verify["request"])
        except CannotReadError as exc:
            message = f'spec.verify.request: "{verify["request"]}": {exc.placed}'
            return None, [problem(document.at("spec", "verify", "request"), message)]
        return Probe(request, tuple(verify.get("columns", ())), tuple(_expected(verify))), []

    def _request(self, document: Document, folder: PurePosixPath, name: str) -> str:
        below = beside(folder, name)
        if below not in self._read:
            self._read[below] = self._text(document, below)
        found = self._read[below]
        if isinstance(found, CannotReadError):
            raise found
        return found

    def _text(self, document: Document, below: PurePosixPath) -> str | CannotReadError:
        try:
            text = read_text(self._root / below, self._inside)
            self._budget.take_json(document.at("spec", "verify", "request"), text)
            return _compact(text)
        except CannotReadError as exc:
            return exc


def _expected(verify: Mapping[str, Any]) -> Iterator[Expectation]:
    for column, said in sorted(verify.get("expect", {}).items()):
        low, high = (Decimal(said[k]) if k in said else None for k in ("atLeast", "atMost"))
        one_of, values = tuple(said.get("oneOf", ())), tuple(said.get("values", ()))
        yield Expectation(column, low, high, one_of, values)


def _compact(text: str) -> str:
    """The JSON object as one line of ASCII; CannotReadError if it is none."""
    if looks_secret(text):
        raise CannotReadError("holds what looks like a secret; a probe is data only")
    value = read_object(text, '{"Inputs": …}')
    if any(plain_secrets(value)):
        raise CannotReadError("holds a secret by its name; a probe is data only")
    return json.dumps(value, separators=(",", ":"))
