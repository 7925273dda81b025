"""Artifacts of GitHub's workflow runs: which there are, and the files in them.

An artifact of a fork's run was made by whoever wrote the fork. So an artifact says whether it is
of this repository, is read into memory up to a size, and is unpacked by the names that are asked
for and up to a size again: nothing in it decides where anything is written. Only files that are
stored or deflated are unpacked: Python expands those piece by piece, and the others wholly at once.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from reconciler.ci.connection import opened_on
from reconciler.ci.github import GitHub, Object
from reconciler.console import say, write_file
from reconciler.errors import NotFoundError, RefusedError, UnreadableError
from reconciler.http.response import Response
from reconciler.http.urls import is_loopback, named, split_url
from reconciler.outcome import Outcome

READ = "actions: read"
MOST_BYTES = 64 * 1024 * 1024  # of an artifact, and of one file in it; a snapshot of 10,000 has 15
MOST_OF_FORKS = 16 * 1024 * 1024  # JSON may be twenty times as large in memory
_MOST_FILES = 100
_ENTRY = b"PK\x01\x02"  # begins each entry of a zip's directory


@dataclass(frozen=True)
class UploadedFile:
    """One artifact: of which run, commit and branch, and whether of this repository."""

    id: int
    name: str
    size: int
    expired: bool
    run: int
    commit: str
    branch: str
    own: bool


def fetch(name: str, branch: str, out: Path) -> Outcome:
    """`fetch`: 0 when the file of that name, from the newest artifact, is written."""
    with opened_on(branch, "--branch") as (door, branch):
        listed = artifacts(door, name)
        usable = (a for a in listed if a.own and a.branch == branch and not a.expired)
        artifact = next(usable, None)
        if artifact is None:
            raise NotFoundError(
                f"no run of {branch} has an artifact {name} that is still kept; run the workflow "
                "that publishes it"
            )
        content = files(door, artifact, out.name).get(out.name)
    if content is None:
        raise NotFoundError(f"artifact {name} of run {artifact.run} holds no {out.name}")
    write_file(out, content)
    say(f"wrote {out}, of run {artifact.run}")
    return Outcome()


def artifacts(github: GitHub, name: str) -> Iterator[UploadedFile]:
    """Every artifact of this name, whatever run it is of, the newest first; asked for by page."""
    path = f"actions/artifacts?name={quote(name, safe='')}"
    for entry, answer in github.pages(path, f"looking for artifacts {name}", READ, "artifacts"):
        yield _artifact(entry, answer)


def artifacts_of(github: GitHub, run: int, name: str) -> list[UploadedFile]:
    """The artifacts of this name that one run left, the newest first."""
    path = f"actions/runs/{run}/artifacts?name={quote(name, safe='')}"
    listed = github.pages(path, f"looking for the artifacts of run {run}", READ, "artifacts")
    every = [_artifact(entry, answer) for entry, answer in listed]
    return sorted((a for a in every if a.name == name), key=lambda a: a.id, reverse=True)


def artifacts_at(github: GitHub, commit: str, name: str) -> list[UploadedFile]:
    """The artifacts of this name that runs at one commit left, the newest first."""
    path = f"actions/runs?head_sha={quote(commit, safe='')}"
    what = f"looking for the runs of commit {commit[:12]}"
    runs = [
        Object(e, answer).get("id", int)
        for e, answer in github.pages(path, what, READ, "workflow_runs")
    ]
    every = [artifact for run in runs for artifact in artifacts_of(github, run, name)]
    return sorted(every, key=lambda a: a.id, reverse=True)


def files(
    github: GitHub, artifact: UploadedFile, *names: str, most: int = MOST_BYTES
) -> dict[str, bytes]:
    """The files of these names that an artifact has; UnreadableError where it is hostile."""
    what = f"reading artifact {artifact.name} of run {artifact.run}"
    if artifact.size > most:
        raise UnreadableError(f"{what}: it is larger than {most >> 20} MiB")
    answer = github.ask("GET", f"actions/artifacts/{artifact.id}/zip", what, None, 302, needs=READ)
    place = answer.headers.get("Location", "")
    _check(github, place, what)
    content = github.http.request("GET", place, what=what, max_bytes=most).body
    try:
        return _unpacked(content, names, most, what)
    except UnreadableError:
        raise
    except Exception as exc:  # zipfile raises a dozen kinds for a hostile file, not all documented
        raise UnreadableError(f"{what}: it is not a readable zip file") from exc


def _artifact(value: object, answer: Response) -> UploadedFile:
    """The artifact in an item of GitHub's list; UnreadableError for what is none."""
    entry = Object(value, answer)
    run = entry.object("workflow_run")
    home = run.get("repository_id", int)
    return UploadedFile(
        id=entry.get("id", int),
        name=entry.get("name", str),
        size=entry.get("size_in_bytes", int),
        expired=entry.get("expired", bool),
        run=run.get("id", int),
        commit=run.get("head_sha", str),
        branch=run.maybe("head_branch", str, ""),
        own=home == run.maybe("head_repository_id", int, 0),
    )


def _check(github: GitHub, place: str, what: str) -> None:
    """RefusedError for a place that is not on the network where GitHub is."""
    parts, api = split_url(place), split_url(github.api)
    local = is_loopback((parts and parts.hostname) or "")
    if parts is None or (local and not is_loopback((api and api.hostname) or "")):
        raise RefusedError(f"{what}: GitHub sends us to {named(place)}, where no artifact can be")


def _unpacked(content: bytes, names: tuple[str, ...], most: int, what: str) -> dict[str, bytes]:
    """The named files of a zip, by name; UnreadableError for one that is too large to be read."""
    if content.count(_ENTRY) > _MOST_FILES:  # before zipfile makes an object of each
        raise UnreadableError(f"{what}: it holds more than {_MOST_FILES} files")
    unpacked = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in set(names).intersection(archive.namelist()):
            entry = archive.getinfo(name)
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UnreadableError(f"{what}: {name} is neither stored nor deflated")
            with archive.open(entry) as file:
                unpacked[name] = file.read(most + 1)
            if len(unpacked[name]) > most:
                raise UnreadableError(f"{what}: {name} is larger than {most >> 20} MiB")
    return unpacked
