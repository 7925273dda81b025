"""JSON files that bindings name."""

from __future__ import annotations

import json
from typing import Any

from reconciler.desired.tree import CannotReadError
from reconciler.strict_json import parse_json


def read_object(text: str, beginning: str) -> dict[str, Any]:
    """The JSON object; CannotReadError if it is none. `beginning` is how a right one begins."""
    try:
        value = parse_json(text, unique=True)
    except json.JSONDecodeError as exc:
        raise CannotReadError(
            f"not JSON: line {exc.lineno}, column {exc.colno}: {exc.msg}"
        ) from exc
    except ValueError as exc:
        raise CannotReadError(f"not JSON that a service could read: {exc}") from exc
    if not isinstance(value, dict):
        raise CannotReadError(f"not a JSON object; begin with {beginning}")
    return value
