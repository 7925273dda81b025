"""Pure: where two JSON values differ; the one answer to "do the recipes differ, and how"."""

from __future__ import annotations

from typing import Any

from reconciler.model.plan import FieldDiff
from reconciler.model.versions import canonical_json


def differences(before: Any, after: Any, root: str) -> tuple[FieldDiff, ...]:
    """The leaves that differ between two JSON values, sorted by path; () when they are equal.

    deepdiff walks them, at any depth. It costs about 1 ms per kB also when both sides are equal,
    so equality is asked first and the import waits for a difference.
    """
    if before == after:
        return ()
    from deepdiff import DeepDiff

    tree = DeepDiff(before, after, view="tree", verbose_level=2)
    diffs = [
        FieldDiff(_path(root, node), _text(node.t1), _text(node.t2))
        for nodes in tree.values()
        for node in nodes
    ]
    return tuple(sorted(diffs, key=lambda diff: diff.path))


def _path(root: str, node: Any) -> str:
    return ".".join(filter(None, [root, *map(str, node.path(output_format="list"))]))


def _text(value: object) -> str | None:
    if repr(value) == "not present":
        return None
    return canonical_json(value) if isinstance(value, dict | list) else str(value)
