"""JSON that bindings name: read strictly, so that nothing in it is lost or means something else."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from reconciler.desired.tree import CannotReadError


def read_object(text: str, beginning: str) -> dict[str, Any]:
    """The JSON object; CannotReadError if it is none. `beginning` is how a right one begins."""
    try:
        value = json.loads(text, parse_constant=_refuse, object_pairs_hook=_members)
        # What overflows, nests too deeply or holds half a character could not be sent.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except json.JSONDecodeError as exc:
        raise CannotReadError(
            f"not JSON: line {exc.lineno}, column {exc.colno}: {exc.msg}"
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise CannotReadError("not JSON that a service could read") from exc
    if not isinstance(value, dict):
        raise CannotReadError(f"not a JSON object; begin with {beginning}")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; CannotReadError if a name comes twice, for one of its values would be lost."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise CannotReadError(f'"{name[:80]}" is twice in one object; keep one')
        found[name] = value
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
