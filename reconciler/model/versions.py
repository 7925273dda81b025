"""Models, how their versions are made, and what they must achieve.

A model has four names, and most mistakes come of using one for another. The *version* is what git
says (`2026-11`). The *key* is what a training depends on: bindings of one key share one training.
The *reference* is where a platform or a store has the file. The *digest* is its content. A name is
for people; keys decide what is trained; references decide what serves; digests decide whether a
file is still the one that was judged.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote, urlsplit

MODEL, METRICS = "model", "metrics"  # the roles of what a version is made of
MANIFEST_FILE = "manifest.json"
FILE = "file"  # the engine of versions that somebody else makes
REGISTRY = "registry"  # the engine of versions that a registry has, which is its place

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted members, no blanks; what digests are taken of."""
    return _CANONICAL.encode(value)


# What normalising a model's URL would leave as it is: on the web, and elsewhere.
_NORMAL_URL = re.compile(
    r"https?://[a-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9/_.=~,:-]*)?"
    r"|(?!https?:)[a-z][a-z0-9+.-]*:(//[a-z0-9.-]*)?/(?!/)[A-Za-z0-9/_.=~,:-]*"
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


@dataclass(frozen=True, order=True, slots=True)
class ModelRef:
    """Which model: a URI of any scheme, as a store or a registry calls it (`https://…`, `s3://…`,
    `file:///…`, `models:/fraud/7`). It has no user, query or fragment, so that no token can enter
    the core."""

    url: str

    def __post_init__(self) -> None:
        """Normalise encoding and host case; raise ValueError on anything but a plain URI."""
        if _NORMAL_URL.fullmatch(self.url):  # nearly every one, many times in a run
            return
        try:
            parts = urlsplit(self.url)
            host = parts.netloc.lower()
        except ValueError as exc:
            raise ValueError("a model reference must be a plain URI") from exc
        on_the_web = parts.scheme in ("http", "https")
        if not _SCHEME.fullmatch(parts.scheme) or "@" in host or not (host or parts.path):
            raise ValueError("a model reference must be a plain URI")
        if on_the_web and not host:
            raise ValueError("a model reference must be a plain URI")
        if parts.query or parts.fragment:
            raise ValueError("a model reference must not carry a query (a SAS token is a secret)")
        slashes = "//" if self.url.startswith("//", len(parts.scheme) + 1) else ""
        path = quote(unquote(parts.path), safe="/=~,:")
        object.__setattr__(self, "url", f"{parts.scheme}:{slashes}{host}{path}")

    @property
    def short_name(self) -> str:
        """The file's name; where that is a long digest, eight of its digits are enough."""
        name = self.path.rsplit("/", 1)[-1]
        stem, dot, ending = name.rpartition(".")
        return f"{stem[:8]}…{dot}{ending}" if len(stem) > 24 else name

    @property
    def path(self) -> str:
        """The decoded path below the host, without the leading slash."""
        return unquote(urlsplit(self.url).path).lstrip("/")

    def __str__(self) -> str:
        """The URL."""
        return self.url


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one version is made; what decides whether two trainings are the same training.

    `place` is where the engine runs the job, "" where it has one place only; jobs of one place
    queue up. `inputs` pair a name with a file of the environment's data. `outputs` pair a role,
    "model" or "metrics", with what the engine calls it: a port, a file. `how` are the engine's own
    settings, such as a command, and `code` is the digest of what a command runs. That lies in
    `folder` here, wherever the repository is, which is no part of how the version is made.
    """

    engine: str
    place: str = ""
    inputs: tuple[tuple[str, str], ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    how: tuple[tuple[str, str], ...] = ()
    code: str = ""
    folder: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Sort the pairs, so that equal recipes are equal whatever order they were written in."""
        for name in ("inputs", "parameters", "outputs", "how"):
            object.__setattr__(self, name, tuple(sorted(getattr(self, name))))

    def as_json(self) -> dict[str, Any]:
        """The recipe as plain data, as manifests keep it."""
        return {
            "engine": self.engine,
            "place": self.place,
            "inputs": dict(self.inputs),
            "parameters": dict(self.parameters),
            "outputs": dict(self.outputs),
            "how": dict(self.how),
            "code": self.code,
        }

    @property
    def takes(self) -> bool:
        """Whether somebody else makes the version, which is not trained but copied."""
        return self.engine in (FILE, REGISTRY)

    @property
    def making(self) -> str:
        """The verb for how the version is made, for people."""
        return "taking in" if self.takes else "training"

    @property
    def made(self) -> str:
        """The verb once it is done."""
        return "taken in" if self.takes else "trained"

    @property
    def trainer(self) -> str:
        """Who runs it: the engine, and the place where that has several."""
        return f"{self.engine}/{self.place}" if self.place else self.engine


@dataclass(frozen=True)
class Version:
    """A model version, with the arguments that tell apart the models of one experiment.

    `files` is what its engine calls them, by role, and no part of what tells two versions apart.
    """

    model: str
    version: str
    arguments: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        """Sort the arguments, so that equal versions are equal; ValueError for a file elsewhere."""
        object.__setattr__(self, "arguments", tuple(sorted(self.arguments)))
        if any("/" in name for _, name in self.files):
            raise ValueError("the file of a version lies in its folder")

    @cached_property
    def folder(self) -> str:
        """The folder in the store: `model/version`, then `/name=value,…` for arguments."""
        names = [self.model, self.version]
        if self.arguments:
            pairs = (f"{_escaped(k)}={_escaped(v)}" for k, v in self.arguments)
            names.append(",".join(pairs))
        return "/".join(names)

    def file(self, role: str) -> str:
        """The file of a role in the store."""
        return f"{self.folder}/{dict(self.files).get(role, role)}"

    def called_beside(self, wanted: Version) -> str:
        """Its name where `wanted` is declared: the version, if only that differs."""
        same = (self.model, self.arguments) == (wanted.model, wanted.arguments)
        return self.version if same else self.folder

    def __str__(self) -> str:
        """The folder: unique, and readable."""
        return self.folder


@dataclass(frozen=True)
class Spent:
    """The engine's word on a job that ended: how many seconds it waited for a machine and then
    ran, None where it does not tell; and the machines that it had, in words, or ""."""

    queued_s: float | None = None
    ran_s: float | None = None
    machines: str = ""


@dataclass(frozen=True)
class Model:
    """One model as far as it is known: where it is, and what its manifest says of it.

    Of a model that somebody else made only `ref` is known; the rest is then empty. `labels` say
    where it comes from: the git `commit`, and as `data.PATH` the fingerprint of each input.
    `served_as` is what the endpoint called it when it served there, of one that is to serve again.
    """

    ref: ModelRef
    version: Version | None = None
    sha256: str = ""
    key: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    served_as: ModelRef | None = None

    @property
    def name(self) -> str:
        """The name that people know it by: its version, or its file name."""
        return self.version.version if self.version else self.ref.short_name


def _escaped(text: str) -> str:
    return quote(text, safe="").replace("~", "%7E")


def training_key(version: Version, recipe: Recipe) -> str:
    """The digest (64 hex) under which a training happens exactly once."""
    parts = [version.model, version.version, dict(version.arguments), recipe.as_json()]
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


class RuleKind(StrEnum):
    """The bound that an `accept` rule compares with."""

    AT_LEAST = "atLeast"
    AT_MOST = "atMost"
    NO_WORSE_THAN_LIVE = "noWorseThanLive"
    BETTER_THAN_LIVE = "betterThanLive"
    MIN_ROWS = "minRows"


@dataclass(frozen=True, slots=True)
class Rule:
    """One gate: a metric of the evaluation and the bound it must keep."""

    metric: str
    kind: RuleKind
    bound: Decimal

    def __str__(self) -> str:
        """`AUC atLeast 0.85`."""
        return f"{self.metric} {self.kind} {self.bound}"


@dataclass(frozen=True)
class Judgement:
    """The verdict of a gate: the rule, the candidate's and the live value (None: unknown).

    `passed` is None where the gate is inconclusive; `message` then says why, "" while the model is
    not trained yet.
    """

    rule: Rule
    passed: bool | None
    candidate: float | None
    live: float | None
    message: str

    @property
    def pending(self) -> bool:
        """Whether it waits for the metrics of a training."""
        return self.passed is None and not self.message
