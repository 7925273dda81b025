"""The part of an answer that may be kept: it is all that plans ask for, and holds no secret.

A member that holds a secret keeps its name and says `***`, a URI keeps `?***` in the place of its
query: whether a service has a secret somewhere decides some plans, what it is decides none.
"""

from __future__ import annotations

import json
import re
from typing import Any

from reconciler.secrecy import HIDDEN, holds_secret, redact
from reconciler.secrecy import without_users as _without_users
from reconciler.strict_json import parse_json

_SECRETS = {
    *("keys", "key", "primary", "secondary", "primarykey", "secondarykey", "accountkey"),
    *("credentials", "password", "token", "authorizationtoken", "connectionstring"),
    *("sasblobtoken", "sastoken", "sharedaccesssignature"),
    *("examplerequest", "parameters"),  # data of others, which no plan asks for
}
_ALL_SECRET = {"environmentvariables"}  # by any name: whoever runs the code chose them
_BY_ID = {"assets", "nodes"}  # whose members go by ids that somebody chose
# Each begins where it cannot begin anew: a text of one service is read in one pass.
_WORD = re.compile(r"[^\s\"'<>]+")
_PAGING = {"nextlink", "odata.nextlink"}


def kept_json(value: Any, name: str = "") -> Any:
    """The JSON without secrets: same shape, the same names, hidden values."""
    if isinstance(value, list):
        return [kept_json(item) for item in value]
    if isinstance(value, dict):
        are_ids = name.casefold() in _BY_ID
        hidden = set(_SECRETS)
        if holds_secret(name) or any(
            key.casefold() == "certificatethumbprint" and value[key] for key in value
        ):
            hidden |= {"value", "defaultvalue", "default"}

        def is_hidden(key: str) -> bool:
            is_id = are_ids and isinstance(value[key], dict)
            by_name = holds_secret(key) and not isinstance(value[key], dict)
            of_all = name.casefold() in _ALL_SECRET
            return (key.casefold() in hidden or by_name or of_all) and not is_id

        return {k: _hidden(v) if is_hidden(k) else kept_json(v, k) for k, v in value.items()}
    if not isinstance(value, str):
        return value
    return redact(value if name.casefold() in _PAGING else without_users(value))


def _hidden(value: Any) -> Any:
    """As much as says whether there is a value, and of what kind."""
    if isinstance(value, dict):
        return {}
    if isinstance(value, list):
        return []
    return HIDDEN if value else value


def without_users(text: str) -> str:
    """The text with neither user nor query nor fragment in any URI."""
    return _WORD.sub(_without_query, _without_users(text, f"{HIDDEN}@"))


def _without_query(word: re.Match[str]) -> str:
    before, scheme, after = word[0].partition("://")
    return before + scheme + re.sub(r"[?#].+", f"?{HIDDEN}", after) if scheme else word[0]


def kept_text(path: str, content: bytes) -> str:
    """A document of ours as it is kept; of a record without what endpoints answered, and of its
    history only what was done when, by which run, with which model, as a plan shows a drift."""
    text = content.decode("utf-8", "replace")
    if not path.startswith("_records/"):
        return redact(text)
    try:
        record = parse_json(text)
    except ValueError:
        return ""
    if isinstance(record, dict):
        history = record.get("history")
        listed = history if isinstance(history, list) else []
        events = [event for event in listed if isinstance(event, dict)]
        record |= {"before": None, "history": [_kept_event(event) for event in events]}
    return redact(json.dumps(record, ensure_ascii=False))


def _kept_event(event: dict[str, Any]) -> dict[str, Any]:
    kept = ("what", "at", "model", "version", "run")
    return {n: v if n in kept or not isinstance(v, str) else "" for n, v in event.items()}
