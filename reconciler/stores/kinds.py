"""The kinds of stores, one line each: what the URL of one looks like, and what opens it.

`desired` checks environments by this table, and `open_store` finds the module in it. That module is
imported when a store of its kind is opened, and no sooner.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model import StoreUrl

_BUCKET = r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/(?!\.{1,2}(/|$))[A-Za-z0-9._=-]+)*"
_CONTAINER = r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*"
_PATH = r"[^\u0000-\u001f\u007f]+"


@dataclass(frozen=True)
class StoreKind:
    """One kind of store.

    `module` has `open_at(at, key, opening)`: the store at a URL of this kind, opened by the value
    of its key ("" where it has none). `url` is the pattern of such a URL, and `usage` says in a
    message how one is written. `keys` are the keys that may stand beside `url:`. `account` and
    `account_usage` are pattern and wording of a URL whose containers are the first part of names
    in it, "" for a kind that has none; only a root of data may be one.
    """

    module: str
    url: str
    usage: str
    keys: frozenset[str] = frozenset()
    account: str = ""
    account_usage: str = ""


KINDS = {
    "s3": StoreKind(
        "reconciler.stores.s3",
        f"s3://{_BUCKET}",
        "s3://BUCKET/PREFIX",
        frozenset({"key", "endpoint", "region"}),
    ),
    "gs": StoreKind(
        "reconciler.stores.gcs",
        f"gs://{_BUCKET}",
        "gs://BUCKET/PREFIX",
        frozenset({"key", "endpoint"}),
    ),
    "az": StoreKind(
        "reconciler.stores.azure_blob",
        f"az://[a-z0-9]{{3,24}}/{_CONTAINER}",
        "az://ACCOUNT/CONTAINER (3 to 24 lower-case letters and digits; 3 to 63 of these and "
        "single dashes)",
        frozenset({"key", "endpoint", "auth"}),
        account="az://[a-z0-9]{3,24}",
        account_usage="az://ACCOUNT if inputs begin with a container",
    ),
    "file": StoreKind(
        "reconciler.stores.folder",
        # What only a shell would read as it is meant is no path.
        f"file:///{_PATH}|(?!.*://|[A-Za-z][A-Za-z0-9+.-]+:|~[^/]*/|~$|\\$){_PATH}",
        "a folder, without ~ or $",
    ),
}
_FOLDER = "file"  # the kind of a path, which has no scheme


def kind_of(at: StoreUrl) -> StoreKind | None:
    """The kind of the store at a URL, None if its scheme is not known."""
    return KINDS.get(at.parts[0] or _FOLDER)


def url_definitions() -> dict[str, dict[str, str]]:
    """What the schema calls a URL of a store, and a root of data, which may be a whole account."""
    kinds = KINDS.values()
    urls, usages = [kind.url for kind in kinds], [kind.usage for kind in kinds]
    accounts = [kind for kind in kinds if kind.account]
    roots = [*usages[:-1], *(kind.account_usage for kind in accounts), usages[-1]]
    return {
        "storeUrl": _definition("a store", urls, usages),
        "dataUrl": _definition("a root of data", [k.account for k in accounts] + urls, roots),
    }


def has_containers(at: StoreUrl) -> bool:
    """Whether names in it begin with a container, because it is a whole account."""
    kind = kind_of(at)
    return kind is not None and bool(kind.account) and not at.parts[2]


def needless(at: StoreUrl) -> dict[str, str]:
    """Each key that may not stand beside the URL of such a store, with the reason."""
    kind = kind_of(at)
    assert kind is not None, at.url  # the schema refuses such a URL
    reasons = {}
    for key in sorted({key for each in KINDS.values() for key in each.keys} - kind.keys):
        takers = [f"{scheme}://" for scheme, each in KINDS.items() if key in each.keys]
        reasons[key] = f"it is for {' and '.join(takers)} only"
    if "auth" in kind.keys and at.key is not None:
        reasons["auth"] = "a store with a key is opened by the key"
    return reasons


def _definition(what: str, urls: list[str], usages: list[str]) -> dict[str, str]:
    return {
        "pattern": f"^({'|'.join(urls)})$",
        "patternErrorMessage": f"is not {what}; write {', '.join(usages[:-1])}, or {usages[-1]}",
    }
