"""What the store remembers explains what serves, on a platform that the program knows nothing of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import render
from reconciler.engine.explanation import comparison, explanation
from reconciler.engine.history import history
from reconciler.errors import ConfigurationError
from reconciler.model import EventKind, VersionState
from tests.twins import twin_of
from tests.twins.contract import FIRST, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.twins.contract import Twin


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
    """A twin that served the first version and serves the second, both proved."""
    with twin_of("shelves, folder", tmp_path, monkeypatch) as made:
        for version in (FIRST, SECOND):
            made.ask_for(version)
            assert made.apply().failures == ()
        yield made


def test_what_serves_is_explained_by_its_swap_its_proof_and_what_was_before(twin: Twin) -> None:
    told = history(twin.world(read_only=True), twin.binding())
    why = explanation(told, twin.binding())
    assert (why.live, why.declared) == (SECOND, SECOND)
    assert why.made is not None
    assert (why.made.version, why.made.state) == (SECOND, VersionState.TRAINED)
    assert why.made.run
    assert why.made.made_at
    assert why.since is not None
    assert why.proof is not None
    assert (why.since.what, why.since.name, why.proof.name) == (EventKind.SWAP, SECOND, SECOND)
    assert {event.name for event in why.before} == {FIRST}
    assert why.gates != ()
    old = {each.version: each for each in told.versions}[FIRST]
    assert {judged.live for judged in why.gates} <= {None, *old.metrics.values()}


def test_what_nobody_noted_is_not_claimed(twin: Twin) -> None:
    twin.put_back(FIRST)
    told = history(twin.world(read_only=True), twin.binding())
    back = explanation(told, twin.binding())
    assert (back.live, back.since) == (FIRST, None)
    assert f"Version {FIRST} serves; the records do not say" in render.explanation_text(back)
    assert f"Git declares {SECOND}" in render.explanation_text(back)
    foreign = explanation(replace(told, live="theirs.bin"), twin.binding())
    assert (foreign.made, foreign.since, foreign.proof, foreign.gates) == (None, None, None, ())
    for page in (render.explanation_text(foreign), render.explanation_markdown(foreign)):
        assert "its origin is unknown" in page
        assert "No proof of this version" in page


def test_a_version_that_was_not_accepted_says_why(twin: Twin) -> None:
    told = history(twin.world(read_only=True), twin.binding())
    bad = [replace(v, state=VersionState.REJECTED, why="odd answers") for v in told.versions]
    why = explanation(replace(told, versions=tuple(bad)), twin.binding())
    assert "It is rejected: odd answers." in render.explanation_text(why)


def test_two_versions_differ_in_what_they_were_made_of(twin: Twin) -> None:
    told = history(twin.world(read_only=True), twin.binding())
    found = comparison(told, FIRST, SECOND)
    paths = [diff.path for diff in found.differences]
    assert any(path.startswith("data.") for path in paths)
    assert not any(path.startswith("outputs.") for path in paths)
    same = comparison(told, FIRST, FIRST)
    assert same.differences == ()
    assert "no recorded difference" in render.comparison_text(same)
    with pytest.raises(ConfigurationError, match=f"no version 1999; there is: {FIRST}, {SECOND}"):
        comparison(told, FIRST, "1999")
