"""The files of a tree of desired state -> documents, with the problems of their form."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.desired.nodes import Document, Malformed, documents
from reconciler.errors import Problem

MOST_BYTES = 1024 * 1024
ENDINGS = (".yaml", ".yml")


@dataclass
class Tree:
    """What was read: documents in the order of their files, and everything that is wrong.

    `whole` is False when a file could not be read at all: what it would have declared is
    unknown, so references into the dark are not reported.
    """

    root: Path
    documents: list[Document] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    whole: bool = True


def read_tree(root: Path) -> Tree:
    """All documents below `root`; names that begin with `.` or `_` are skipped."""
    tree = Tree(root)
    if not root.is_dir():
        why = "there is no such folder; create it, or name another one by --services"
        tree.problems.append(Problem(str(root), 0, 0, why))
        return tree
    for path in _files(tree):
        _read_file(tree, path)
    if not tree.documents and not tree.problems:
        why = (
            "there is no desired state here; create a folder per environment with an "
            "environment.yaml and a binding in it"
        )
        tree.problems.append(Problem(str(root), 0, 0, why))
    return tree


def _files(tree: Tree) -> list[Path]:
    found = []
    for folder, folders, names in os.walk(tree.root):
        folders[:] = sorted(name for name in folders if name[0] not in "._")
        here = Path(folder)
        linked = [name for name in folders if (here / name).is_symlink()]
        _check_links(tree, [here / name for name in linked])
        found += [here / n for n in names if n[0] not in "._" and n.endswith(ENDINGS)]
    return sorted(found)


def _check_links(tree: Tree, folders: list[Path]) -> None:
    for folder in folders:
        why = "a link to a folder is not followed; put the files here"
        if not inside(tree.root, folder):
            why = "the link leaves the tree; put the files here"
        tree.problems.append(Problem(str(folder), 0, 0, why))


def inside(root: Path, path: Path) -> bool:
    """Whether a path, with its links followed, stays below the root."""
    return path.resolve().is_relative_to(root.resolve())


def _read_file(tree: Tree, path: Path) -> None:
    content = _bytes(tree, path)
    if content is None:
        tree.whole = False
        return
    try:
        for document, problems in documents(str(path), content):
            tree.documents.append(document)
            tree.problems += problems
    except Malformed as exc:
        tree.problems.append(exc.problem)
        tree.whole = False


def _bytes(tree: Tree, path: Path) -> bytes | None:
    why = ""
    try:
        if not inside(tree.root, path):
            why = "the link leaves the tree; put the file here"
        elif path.stat().st_size > MOST_BYTES:
            why = f"{path.stat().st_size} bytes are too many; a file has at most 1 MiB"
        else:
            return path.read_bytes()
    except OSError as exc:
        why = f"it cannot be read: {exc.strerror}"
    tree.problems.append(Problem(str(path), 0, 0, why))
    return None
