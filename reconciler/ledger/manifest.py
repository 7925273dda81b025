"""A manifest: what is known of one model version, and its bytes in the store."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.errors import UnreadableError
from reconciler.model import MANIFEST_FILE, Recipe, Version
from reconciler.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.stores.contract import Properties

SCHEMA = "reconciler/manifest/v1"
_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True)
class Attempt:
    """One batch job: its id, when it was noted, when it was seen started, how it failed.

    `inputs` has the fingerprint of each input blob as it was before the job was submitted.
    `started_at` and `failure` are "" until then.
    """

    job: str
    noted_at: str
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    started_at: str = ""
    failure: str = ""

    def changed(self, now: Mapping[str, Properties | None]) -> dict[str, Properties | None]:
        """The inputs whose content is no longer what the job was given, as they are; None: gone."""
        return {
            path: seen
            for path, then in sorted(self.inputs.items())
            if (seen := now.get(path)) is None or seen.fingerprint != then
        }


@dataclass(frozen=True)
class Evaluation:
    """What a finished job made: metrics, the model file's SHA-256 (hex), and when we looked.

    `fingerprint` is what a HEAD of the model file showed then: another one later means that the
    file is not the one that was evaluated. `rows` is None where no rule asked for them.
    """

    metrics: Mapping[str, float] = field(hash=False)
    sha256: str
    noted_at: str
    fingerprint: str = ""
    rows: int | None = None


@dataclass(frozen=True)
class Manifest:
    """One model version: its recipe, the attempts to make it, and what came of them.

    `claimed_by` is the run that began it, for git `commit`, and `forced` why it overrode limits.
    `refused` says why its gates did not accept it when they were last asked; `rejected` why no run
    may bind it again, and since when and by whom that is so ("" where nobody noted it).
    """

    version: Version
    key: str
    recipe: Recipe
    claimed_at: str
    claimed_by: str
    commit: str = ""
    forced: str = ""
    attempts: tuple[Attempt, ...] = ()
    evaluation: Evaluation | None = None
    refused: str = ""
    rejected: str = ""
    rejected_at: str = ""
    rejected_by: str = ""

    @property
    def rejection(self) -> str:
        """Why it was rejected, by whom and when, in words; "" while it is not."""
        if not (self.rejected and self.rejected_at):
            return self.rejected
        return f"{self.rejected} (rejected by {self.rejected_by} at {self.rejected_at})"

    @property
    def vacant(self) -> bool:
        """Whether it is no more than a claim: no job exists, so any recipe may take it over."""
        return not (self.attempts or self.evaluation or self.rejected)

    @property
    def duration_s(self) -> float | None:
        """From when its job was seen started to when its end was seen; None before that.

        The service's own times would be better, but it is not known to tell them (§4.3 [U]).
        """
        if self.evaluation is None or not self.attempts or not self.attempts[-1].started_at:
            return None
        took = _moment(self.evaluation.noted_at) - _moment(self.attempts[-1].started_at)
        return max(took.total_seconds(), 0.0)


def manifest_json(manifest: Manifest) -> bytes:
    """The bytes of a manifest; equal manifests have equal bytes."""
    evaluation = manifest.evaluation
    document = {
        "schema": SCHEMA,
        "model": manifest.version.model,
        "version": manifest.version.version,
        "arguments": dict(manifest.version.arguments),
        "key": manifest.key,
        "recipe": manifest.recipe.as_json(),
        "claimed": {
            "at": manifest.claimed_at,
            "by": manifest.claimed_by,
            "commit": manifest.commit,
            "forced": manifest.forced,
        },
        "attempts": [vars(attempt) for attempt in manifest.attempts],
        "evaluation": None if evaluation is None else vars(evaluation),
        "refused": manifest.refused,
        "rejected": manifest.rejected,
        "rejected_at": manifest.rejected_at,
        "rejected_by": manifest.rejected_by,
    }
    return document_bytes(document)


def document_bytes(document: Mapping[str, Any]) -> bytes:
    """A document as the store keeps it: JSON that people can read."""
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def parse_manifest(content: bytes, name: str) -> Manifest:
    """The manifest in a blob; UnreadableError, naming the blob, if it is damaged."""
    try:
        document = parse_json(content)
        if document["schema"] != SCHEMA:
            raise UnreadableError(f"{name} has schema {document['schema']!r}, not {SCHEMA!r}")
        version = Version(
            _text(document["model"]), _text(document["version"]), pairs(document["arguments"])
        )
        if name != f"{version.folder}/{MANIFEST_FILE}":
            raise UnreadableError(f"{name} in the store is the manifest of {version}")
        claimed = document["claimed"]
        return Manifest(
            version=version,
            key=_text(document["key"]),
            recipe=_recipe(document["recipe"]),
            claimed_at=_text(claimed["at"]),
            claimed_by=_text(claimed["by"]),
            commit=_text(claimed["commit"]),
            forced=_text(claimed.get("forced", "")),  # older manifests do not have it
            attempts=tuple(map(_attempt, document["attempts"])),
            evaluation=_evaluation(document["evaluation"]),
            refused=_text(document["refused"]),
            rejected=_text(document["rejected"]),
            rejected_at=_text(document.get("rejected_at", "")),
            rejected_by=_text(document.get("rejected_by", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as exc:
        raise UnreadableError(f"{name} in the store is damaged: it is not a manifest") from exc


def timestamp(said: str) -> str:
    """The text, if it is a moment as we write it; ValueError or TypeError if it is not."""
    _moment(said)
    return said


def _moment(said: str) -> datetime.datetime:
    # strptime would say the same at ten times the cost, six times per binding of a plan
    if not _STAMP.fullmatch(said):
        raise ValueError("not a moment as we write it")
    return datetime.datetime.fromisoformat(said.removesuffix("Z"))


def _recipe(document: Mapping[str, Any]) -> Recipe:
    return Recipe(
        engine=_text(document["engine"]),
        place=_text(document["place"]),
        inputs=pairs(document["inputs"]),
        parameters=pairs(document["parameters"]),
        outputs=pairs(document["outputs"]),
        how=pairs(document["how"]),
        code=_text(document["code"]),
    )


def _attempt(document: Mapping[str, Any]) -> Attempt:
    started_at = document["started_at"]
    return Attempt(
        job=_text(document["job"]),
        noted_at=timestamp(document["noted_at"]),
        inputs=dict(pairs(document["inputs"])),
        started_at=started_at if started_at == "" else timestamp(started_at),
        failure=_text(document["failure"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__}, not text")
    return value


def pairs(document: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The members of an object of texts, sorted by name."""
    return tuple(sorted((str(name), str(value)) for name, value in document.items()))


def _evaluation(document: Mapping[str, Any] | None) -> Evaluation | None:
    if document is None:
        return None
    metrics = {str(name): _number(value) for name, value in document["metrics"].items()}
    return Evaluation(
        metrics,
        str(document["sha256"]),
        timestamp(document["noted_at"]),
        str(document["fingerprint"]),
        None if document["rows"] is None else int(document["rows"]),
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{type(value).__name__}, not a number")
    return float(value)
