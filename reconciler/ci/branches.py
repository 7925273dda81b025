"""Branches, commits and pull requests at GitHub, made without a clone.

A branch of ours is one commit on top of the branch that it is to be merged into, and is moved there
anew whenever that commit would be another one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from reconciler.ci.github import GitHub, Object, Pull, pull_of
from reconciler.errors import NotFoundError
from reconciler.http.urls import path_id

WRITE, READ = "contents: write", "contents: read"


@dataclass(frozen=True)
class Commit:
    """A commit: its id, the id of its tree, and what it says."""

    id: str
    tree: str
    message: str


def head_of(github: GitHub, branch: str) -> str:
    """The commit that a branch is at; "" where there is no such branch."""
    what = f"looking for branch {branch}"
    try:
        answer = github.ask("GET", f"git/ref/heads/{quote(branch)}", what, needs=READ)
    except NotFoundError:
        return ""
    entry, ref = Object(answer.json_object(), answer), f"refs/heads/{branch}"
    if entry.maybe("ref", str, ref) != ref:
        raise answer.unreadable(ref)
    return entry.object("object").get("sha", str)


def commit(github: GitHub, ident: str) -> Commit:
    """A commit by its id."""
    path = f"git/commits/{path_id(ident, 'a commit that GitHub named')}"
    answer = github.ask("GET", path, f"reading commit {ident[:12]}", needs=READ)
    entry = Object(answer.json_object(), answer)
    if entry.maybe("sha", str, ident) != ident:
        raise answer.unreadable(f"commit {ident[:12]}")
    return Commit(ident, entry.object("tree").get("sha", str), entry.get("message", str))


def content(github: GitHub, path: str, ref: str) -> bytes | None:
    """A file as it is in a commit; None where there is none."""
    what = f"reading {path}"
    try:
        answer = github.ask("GET", f"contents/{quote(path)}?ref={quote(ref)}", what, needs=READ)
    except NotFoundError:
        return None
    entry = Object(answer.json_object(), answer)
    try:
        return base64.b64decode(entry.get("content", str))
    except binascii.Error as exc:
        raise answer.unreadable("a file in base64") from exc


def write(github: GitHub, branch: str, on: Commit, files: Mapping[str, str], message: str) -> str:
    """The id of the one commit that the branch has from now on, on top of another one."""
    what = f"writing branch {branch}"
    entries = [
        {"path": path, "mode": "100644", "type": "blob", "content": text}
        for path, text in sorted(files.items())
    ]
    tree = _made(github, "git/trees", what, {"base_tree": on.tree, "tree": entries})
    sent = {"message": message, "tree": tree, "parents": [on.id]}
    made = _made(github, "git/commits", what, sent)
    if head_of(github, branch):
        path, move = f"git/refs/heads/{quote(branch)}", {"sha": made, "force": True}
        github.ask("PATCH", path, what, move, needs=WRITE)
    else:
        new = {"ref": f"refs/heads/{branch}", "sha": made}
        github.ask("POST", "git/refs", what, new, 201, needs=WRITE)
    return made


def open_pull(github: GitHub, title: str, body: str, head: str, base: str) -> Pull:
    """The new pull request of a branch."""
    sent = {"title": title, "body": body, "head": head, "base": base}
    answer = github.ask("POST", "pulls", "opening a pull request", sent, 201)
    return pull_of(answer.json(), answer)


def change_pull(github: GitHub, pull: Pull, **to: Any) -> Pull:
    """The pull request with another title, body or state."""
    what = f"changing pull request {pull.number}"
    answer = github.ask("PATCH", f"pulls/{pull.number}", what, to)
    return pull_of(answer.json(), answer)


def _made(github: GitHub, path: str, what: str, sent: Mapping[str, Any]) -> str:
    answer = github.ask("POST", path, what, sent, 201, needs=WRITE)
    return Object(answer.json_object(), answer).get("sha", str)
