"""YAML in git -> what every environment must look like, or everything that is wrong with it.

Stages, each a module: files (`tree`), strict YAML with positions (`nodes`), shape (`schema`),
meaning and references (`resolve`). A generator that makes many documents of one belongs between
`nodes` and `schema`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reconciler.desired import resolve, schema
from reconciler.desired.tree import read_tree
from reconciler.errors import ConfigurationError
from reconciler.model import Address, Desired, Environment

AddressMaker = Callable[[Mapping[str, Any], Environment], Address]


def load(root: Path, kinds: Mapping[str, AddressMaker]) -> dict[str, Desired]:
    """The desired state by environment; ConfigurationError with every problem of the tree.

    `kinds` makes the address of a binding's spec, by kind; a ValueError of it is a problem too.
    """
    tree = read_tree(root)
    valid, problems = [], list(tree.problems)
    for document in tree.documents:
        found = list(schema.problems(document))
        problems += found
        if not found:
            valid.append(document)
    # A document that is wrong in form still declares its name: no noise about references to it.
    sound = tree.whole and not problems
    desired, more = resolve.resolve(root, valid, kinds, references=sound)
    if problems or more:
        raise ConfigurationError([*problems, *more])
    return desired
