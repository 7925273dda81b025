"""A snapshot as a file: JSON that anybody may read, and that nobody who reads it trusts."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from reconciler.engine.world import seconds_since_epoch
from reconciler.errors import redact
from reconciler.offline.recorded import Answer, Answers
from reconciler.render.documents import Node, json_document
from reconciler.stores.azure_values import BlobProperties

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model import Environment

FAMILY = "reconciler/snapshot/"
SCHEMA = f"{FAMILY}v1"
MOST_LEVELS = 100  # of an answer; what plans read of definitions is not nested so deeply
_COMMIT = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})?")
_MD5 = re.compile(r"([A-Za-z0-9+/]{22}==)?")


@dataclass(frozen=True)
class Place:
    """Of what a snapshot was taken: an environment, and where it is."""

    environment: str
    cloud: str
    subscription: str
    resource_group: str
    workspace: str
    account: str
    container: str

    @classmethod
    def of(cls, environment: Environment) -> Place:
        """The place of an environment."""
        return cls(
            environment.name,
            environment.cloud.value,
            environment.subscription,
            environment.resource_group,
            environment.workspace.id if environment.workspace else "",
            environment.store.account,
            environment.store.container,
        )

    def differences(self, wanted: Place) -> list[str]:
        """`cloud azure, not emulator` for each member that is another."""
        own, others = asdict(self), asdict(wanted)
        return [
            f"{name.replace('_', ' ')} {own[name] or '(none)'}, not {others[name] or '(none)'}"
            for name in own
            if own[name] != others[name]
        ]


@dataclass(frozen=True)
class Snapshot:
    """What was heard, when, at which commit of git ("" if nobody knew), and by which program.

    `emulator` is where an emulator was, "" on a real cloud.
    """

    at: str
    commit: str
    program: str
    place: Place
    emulator: str
    answers: Answers


def snapshot_json(taken: Snapshot) -> str:
    """The file; equal snapshots are equal files."""
    answers = taken.answers
    document = {
        "schema": SCHEMA,
        "taken": {"at": taken.at, "commit": taken.commit, "by": taken.program},
        "of": {**asdict(taken.place), "emulator": taken.emulator},
        "answers": [
            {"url": url, "status": answer.status, "body": answer.body}
            for url, answer in sorted(answers.management.items())
        ],
        "storage": {
            "base": answers.base,
            "listed": sorted(answers.listed),
            "absent": sorted(answers.absent),
            "blobs": [
                {"name": name, "etag": one.etag, "length": one.length, "md5": one.md5}
                for name, one in sorted(answers.blobs.items())
            ],
            "texts": [{"name": name, "text": text} for name, text in sorted(answers.texts.items())],
        },
    }
    return redact(json_document(document, indent=1))


def snapshot_in(document: dict[str, Any]) -> Snapshot:
    """The snapshot in a JSON object; ValueError names the place that is damaged."""
    root = Node(document, "snapshot")
    if (schema := root.get("schema", str)) != SCHEMA:
        raise ValueError(
            f"snapshot.schema: {schema!r} is not {SCHEMA!r}, the one that this version reads; "
            "take it with this version"
        )
    taken, of = root.node("taken"), root.node("of")
    return Snapshot(
        at=taken.made("at", _moment),
        commit=taken.made("commit", lambda text: _fitting(_COMMIT, text)),
        program=taken.get("by", str),
        place=Place(**{name: of.get(name, str) for name in Place.__dataclass_fields__}),
        emulator=of.get("emulator", str),
        answers=_answers(root.nodes("answers"), root.node("storage")),
    )


def _answers(management: Iterable[Node], storage: Node) -> Answers:
    return Answers(
        base=storage.get("base", str),
        management={node.get("url", str): _answer(node) for node in management},
        blobs={_name(node): _properties(node) for node in storage.nodes("blobs")},
        texts={_name(node): node.get("text", str) for node in storage.nodes("texts")},
        absent=set(storage.texts("absent")),
        listed=set(storage.texts("listed")),
    )


def _answer(node: Node) -> Answer:
    status, body = node.get("status", int), node.any("body")
    if status not in (200, 404):
        raise ValueError(f"{node.place}.status: must be 200 or 404")
    level = [body]
    for _ in range(MOST_LEVELS):
        level = [below for value in level for below in _below(value)]
    if level:
        raise ValueError(f"{node.place}.body: nested deeper than {MOST_LEVELS} levels")
    return Answer(status, body)


def _below(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _name(node: Node) -> str:
    name = node.get("name", str)
    if not name.isprintable() or "/" not in name:
        raise ValueError(f"{node.place}.name: must be container/blob without control characters")
    return name


def _properties(node: Node) -> BlobProperties:
    etag, length = node.get("etag", str), node.get("length", int)
    if not etag.isprintable() or not etag.strip('"') or length < 0:
        raise ValueError(f"{node.place}: must have a printable ETag and a length that is no debt")
    return BlobProperties(etag, length, {}, node.made("md5", lambda text: _fitting(_MD5, text)))


def _moment(text: str) -> str:
    seconds_since_epoch(text)
    return text


def _fitting(shape: re.Pattern[str], text: str) -> str:
    if not shape.fullmatch(text):
        raise ValueError("of another shape")
    return text
