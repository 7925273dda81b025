"""The scoring requests that bindings name, and what must be answered: JSON files of the tree."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from reconciler.model import Expectation, Probe
from reconciler.platforms.platform import Wanted
from reconciler.secrecy import plain_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.desired.part import Part


def probe(spec: Part) -> Probe | None:
    """What the `verify` of a binding's spec says; None if it has none. ConfigurationError where
    the file is not usable."""
    verify = spec.data.get("verify")
    if verify is None:
        return None
    request = spec.json_file(_REQUEST, "verify", "request")
    return Probe(request, tuple(verify.get("columns", ())), tuple(_expected(verify)))


def _expected(verify: Mapping[str, Any]) -> Iterator[Expectation]:
    for column, said in sorted(verify.get("expect", {}).items()):
        low, high = (Decimal(said[k]) if k in said else None for k in ("atLeast", "atMost"))
        one_of, values = tuple(said.get("oneOf", ())), tuple(said.get("values", ()))
        yield Expectation(column, low, high, one_of, values)


def _compact(request: Mapping[str, Any]) -> str:
    """The request as one line of ASCII; ValueError if it holds a secret."""
    if any(plain_secrets(request)):
        raise ValueError("holds a secret by its name; a probe is data only")
    return json.dumps(request, separators=(",", ":"))


_REQUEST = Wanted(_compact, '{"Inputs": …}', "a probe is data only")
