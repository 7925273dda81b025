"""`snapshot`, and `plan --live` against one: the same plan, by somebody who holds no secret.

The property: whatever the world was and whatever git wants now, each change of the offline plan is
the change of the live plan, or says that it is not known offline.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from reconciler import errors
from reconciler.emulator import ManualClock
from reconciler.emulator.messages import Response
from reconciler.engine.train import claim, train_step
from reconciler.engine.world import timestamp
from reconciler.http.client import Http
from reconciler.model import Model
from tests.fleet import make_fleet
from tests.fresh import IMPORT_KEY, declare
from tests.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.model import Binding
    from tests.cli.conftest import Ran

    Command = Callable[..., Ran]
    Step = Callable[[Lab], None]

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "snapshot.schema.json").read_text())
AGE = re.compile(r"note: from a snapshot \d+ min old, taken \S+( at commit [0-9a-f]{12})?\n")


def planned(command: Command, *how: str) -> dict[str, Any]:
    """The plan as JSON; of an offline one without the note that says so."""
    return both_forms(command, *how)[0]


def both_forms(command: Command, *how: str) -> tuple[dict[str, Any], str]:
    """The plan as JSON, without what only an online one has or an offline one says; and its text.

    One plan makes both.
    """
    ran = command("plan", "--out", "plan.json", *how)
    assert ran.code in (errors.SUCCESS, errors.REFUSED), ran.err
    plan: dict[str, Any] = json.loads(Path("plan.json").read_text())
    plan["notes"] = [note for note in plan["notes"] if not note.startswith("from a snapshot")]
    return {key: plan[key] for key in plan if key not in ("id", "world")}, ran.out


@pytest.fixture
def lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Lab]:
    """An emulator whose time stands still unless a test lets it pass."""
    options = getattr(request, "param", {})
    made = Lab(tmp_path, door="server", clock=ManualClock(time.time()), **options)
    for name, value in {**made.environ, "LOCAL_IMPORT_KEY": IMPORT_KEY}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield made
    made.close()


@pytest.fixture
def alone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Take away the cloud and every secret."""

    def take_away() -> None:
        for name in lab.environ:
            monkeypatch.delenv(name)
        monkeypatch.setattr(lab.cloud, "handle", None)

    return take_away


# --- worlds, and what git wants of them ------------------------------------------------------


def seeded(lab: Lab) -> None:
    """What somebody deployed by hand."""


def applied(lab: Lab) -> None:
    lab.apply()


def upgraded(lab: Lab) -> None:
    lab.apply()
    lab.edit("diabetes.yaml", '"2026-10"', '"2026-11"')
    lab.apply()


def young(lab: Lab) -> Binding:
    return next(b for b in lab.desired().bindings if b.name == "diabetes-young")


def drifted(lab: Lab) -> None:
    upgraded(lab)
    world, binding = lab.world(), young(lab)
    old = replace(binding.version, version="2026-10")
    world.targets[binding.kind].switch(binding, Model(world.ledger.ref(old)))
    lab.clock.advance(60)


def rejected(lab: Lab) -> None:
    """A version that serves was rejected: the next run swaps the model before back in."""
    upgraded(lab)
    ledger, version = lab.world().ledger, young(lab).version
    entry = ledger.read(version)
    assert entry is not None
    ledger.reject(entry, "it answered wrongly")


def training(lab: Lab) -> None:
    """Jobs run."""
    world = lab.world()
    for binding in lab.desired().bindings:
        entry = claim(world, binding)
        assert entry is not None
        train_step(world, binding, entry, lambda work: work)


def evaluated(lab: Lab) -> None:
    """Jobs that have ended, and nobody has noted that."""
    training(lab)
    lab.clock.advance(240)


def retouched(lab: Lab) -> None:
    """The data under a path changed after a version was trained on it."""
    lab.apply()
    lab.world().data.put("datasets/breast-cancer/2026-10.csv", b"other data")


def created(lab: Lab) -> None:
    """One of the services was made by this environment."""
    declare(lab)
    lab.apply()


WORLDS: list[Step] = [
    *(seeded, applied, upgraded, drifted, rejected, training, evaluated, retouched, created)
]


def same(lab: Lab) -> None:
    """What git wanted when the snapshot was taken."""


def newer(lab: Lab) -> None:
    for name in ("breast-cancer.yaml", "diabetes.yaml"):
        path = lab.services / "local" / name
        path.write_text(re.sub(r'"2026-1\d"', '"2026-11"', path.read_text()))


def older(lab: Lab) -> None:
    for name in ("breast-cancer.yaml", "diabetes.yaml"):
        path = lab.services / "local" / name
        path.write_text(re.sub(r'"2026-1\d"', '"2026-10"', path.read_text()))


def without_data(lab: Lab) -> None:
    path = lab.services / "local" / "breast-cancer.yaml"
    path.write_text(path.read_text().replace("2026-10", "2031-01"))


def other_recipe(lab: Lab) -> None:
    lab.edit("models/diabetes.yaml", 'Regularization: "2.0"', 'Regularization: "3.0"')


def stricter(lab: Lab) -> None:
    lab.edit("models/diabetes.yaml", 'atMost: "90"', 'atMost: "1"')


def other_places(lab: Lab) -> None:
    lab.edit("breast-cancer.yaml", "asset: Breast Cancer [trained model]", "asset: no such")
    lab.edit("diabetes.yaml", "endpoint: middle", "endpoint: default")
    lab.edit("diabetes.yaml", "resource: Diabetes [trained model]", "protect: true")


def fewer(lab: Lab) -> None:
    """No New service is declared any more."""
    for name in ("breast-cancer.yaml", "fresh.yaml"):
        (lab.services / "local" / name).unlink(missing_ok=True)


EDITS: list[Step] = [
    same,
    newer,
    older,
    without_data,
    other_recipe,
    stricter,
    other_places,
    fewer,
]


HIDING = {"classic_location": "hidden"}
SELDOM = (training, evaluated, retouched, created)  # the others meet most of what can differ
CASES = [
    *(pytest.param({}, w, marks=[pytest.mark.long] if w in SELDOM else []) for w in WORLDS),
    pytest.param(HIDING, applied, marks=pytest.mark.long),
    (HIDING, upgraded),
]


@pytest.mark.parametrize(("lab", "world"), CASES, indirect=["lab"])
def test_an_offline_plan_is_the_live_one(
    lab: Lab, command: Command, alone: Callable[[], None], world: Step
) -> None:
    world(lab)
    assert command("snapshot", "--out", "snapshot.json").code == errors.SUCCESS
    kept = {path: path.read_text() for path in (lab.services / "local").rglob("*.yaml")}

    def wanting(edit: Step) -> None:
        for path, content in kept.items():
            path.write_text(content)
        edit(lab)

    live = {}
    for edit in EDITS:
        wanting(edit)
        live[edit] = both_forms(command)
    alone()
    for edit in EDITS:
        wanting(edit)
        plan, text = live[edit]
        offline, said = both_forms(command, "--live", "snapshot.json")
        assert offline == plan, edit.__name__
        assert AGE.sub("", said).rstrip() == text.rstrip()
        assert AGE.search(said)


def test_it_is_made_by_reads_is_what_its_schema_says_and_holds_no_data(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgraded(lab)
    sent: list[str] = []
    serve = lab.cloud.handle
    monkeypatch.setattr(lab.cloud, "handle", lambda r: (sent.append(r.method), serve(r))[1])
    ran = command("snapshot")
    assert ran.code == errors.SUCCESS
    assert set(sent) <= {"GET", "HEAD"}
    document = json.loads(ran.out)
    Draft202012Validator(SCHEMA).validate(document)
    for name in lab.environ:
        if name.startswith("LOCAL_"):
            assert lab.environ[name] not in ran.out
    assert not re.search(r"[?&]s[ivg]g?=", ran.out)
    kept = [name for store in document["answers"]["stores"].values() for name in store["texts"]]
    assert all(
        n.startswith("_records/") or n.endswith(("manifest.json", "evaluation.csv")) for n in kept
    )
    again = json.loads(command("snapshot").out)
    assert again | {"at": 0} == document | {"at": 0}


def test_what_the_snapshot_does_not_hold_is_said_to_be_not_known(
    lab: Lab, command: Command, alone: Callable[[], None]
) -> None:
    lab.apply()
    command("snapshot", "--out", "snapshot.json")
    alone()
    lab.edit("diabetes.yaml", "endpoint: young", "endpoint: newone")
    lab.edit("breast-cancer.yaml", "breast-cancer-predictive", "somewhere-else")
    lab.edit("models/diabetes.yaml", "datasets/diabetes/", "elsewhere/diabetes/")
    lab.edit(
        "diabetes.yaml",
        'version: "2026-10", with: {slice: senior}',
        'version: "2026-12", with: {slice: senior}',
    )
    plan = planned(command, "--live", "snapshot.json")
    found = {change["name"]: change for change in plan["changes"]}
    for name in ("diabetes-young", "breast-cancer", "diabetes-senior"):
        assert (found[name]["action"], found[name]["code"]) == ("BLOCK", "not_known_offline")
        assert "the snapshot does not hold" in found[name]["why"]
    # Its version was made by another recipe: that is known, whatever else is not.
    assert found["diabetes-middle"]["code"] == "recipe_changed"


def test_a_fleet_costs_no_request_for_each_of_its_endpoints(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_fleet(tmp_path, 40, door="server", clock=ManualClock(time.time()))
    monkeypatch.chdir(tmp_path)
    for name, value in made.environ.items():
        monkeypatch.setenv(name, value)
    made.apply()
    sent: list[str] = []
    serve = made.cloud.handle
    monkeypatch.setattr(made.cloud, "handle", lambda r: (sent.append(r.path), serve(r))[1])
    assert command("snapshot", "--out", "snapshot.json").code == errors.SUCCESS
    assert len(sent) < 40
    live = planned(command)
    monkeypatch.setattr(made.cloud, "handle", None)
    assert planned(command, "--live", "snapshot.json") == live
    made.close()


def test_an_endpoint_beside_the_bound_ones_is_known(
    lab: Lab, command: Command, alone: Callable[[], None]
) -> None:
    path = lab.services / "local" / "diabetes.yaml"
    whole = path.read_text()
    path.write_text(whole.split("---")[0])
    command("snapshot", "--out", "snapshot.json")
    path.write_text(whole)
    live = planned(command)["changes"]
    alone()
    offline = planned(command, "--live", "snapshot.json")["changes"]
    assert [one["why"] for one in offline] == [one["why"] for one in live]
    assert offline == live


def test_an_endpoint_that_could_not_be_read_is_left_out_and_said(
    lab: Lab, command: Command, alone: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = lab.cloud.handle

    def broken(request: Any) -> Any:
        if "/webServices/breast-cancer-predictive" in request.path:
            return Response(500, {}, b"")
        return serve(request)

    monkeypatch.setattr(lab.cloud, "handle", broken)
    monkeypatch.setattr("reconciler.cli.session.Http", lambda **how: Http(**{**how, "retries": 0}))
    ran = command("snapshot", "--out", "snapshot.json")
    assert ran.code == errors.PARTIAL
    assert "breast-cancer is not in the snapshot: " in ran.err
    alone()
    plan = planned(command, "--live", "snapshot.json")
    assert plan["changes"][-1]["code"] == "not_known_offline"


def test_a_plan_made_offline_approves_nothing(
    lab: Lab, command: Command, alone: Callable[[], None]
) -> None:
    command("snapshot", "--out", "snapshot.json")
    ran = command("plan", "--live", "snapshot.json", "--out", "plan.json")
    assert "approves nothing" in ran.err
    ran = command("apply", "plan.json")
    assert ran.code == errors.CONFIGURATION
    assert "made offline, so it approves nothing" in ran.err


@pytest.fixture
def taken(lab: Lab, command: Command) -> dict[str, Any]:
    command("snapshot", "--out", "snapshot.json")
    document: dict[str, Any] = json.loads(Path("snapshot.json").read_text())
    return document


def refused(command: Command, document: Any, *how: str) -> Ran:
    Path("changed.json").write_text(json.dumps(document))
    ran = command("plan", "--live", "changed.json", *how)
    assert ran.out == ""
    return ran


@pytest.mark.parametrize(
    ("hours", "how", "code"),
    [
        (0.1, (), errors.REFUSED),  # a plan that was made: the seed has a binding in the way
        (24 * 7 - 1, (), errors.REFUSED),
        (24 * 7 + 1, (), errors.STALE),
        (24 * 7 + 1, ("--max-age", "10d"), errors.REFUSED),
        (2, ("--max-age", "90m"), errors.STALE),
        (-1, (), errors.CONFIGURATION),
    ],
)
def test_a_snapshot_is_of_use_for_a_while(
    lab: Lab,
    command: Command,
    taken: dict[str, Any],
    hours: float,
    how: tuple[str, ...],
    code: int,
) -> None:
    lab.edit("diabetes.yaml", "endpoint: middle", "endpoint: default")
    taken["at"] = timestamp(time.time() - hours * 3600)
    Path("changed.json").write_text(json.dumps(taken))
    assert command("plan", "--live", "changed.json", *how).code == code


def test_an_old_snapshot_is_refused_with_its_age_and_the_fix(
    command: Command, taken: dict[str, Any]
) -> None:
    taken |= {"at": timestamp(time.time() - 9 * 86400), "commit": "ab" * 20}
    ran = refused(command, taken)
    assert ran.code == errors.STALE
    assert "changed.json is a snapshot 9 days old, taken " in ran.err
    assert "at commit abababababab: older than 7 days" in ran.err
    assert "take it again by `reconciler snapshot --out changed.json -e local`" in ran.err
    assert "or pass --max-age" in ran.err


@pytest.mark.parametrize("age", ["", "7", "d", "-1d", "7w", "1.5h", "9999999d", "٣d"])
def test_an_age_that_is_none_is_wrong_usage(command: Command, lab: Lab, age: str) -> None:
    assert command("plan", "--live", "x.json", "--max-age", age).code == errors.USAGE


DEEP: Any = []
for _ in range(150):
    DEEP = [DEEP]
FIRST = 0  # the member of an object that is first in its order
ASKED = ("answers", "management", FIRST)
STORES = ("answers", "stores")
FILES = (*STORES, FIRST, "files")
FILE = {"etag": "e", "fingerprint": "f", "size": 1}
HOSTILE: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("schema",), "reconciler/snapshot/v1", "take it with this version"),
    (("place", "environment"), "production", "environment production, not local"),
    (("place", "store"), "az://other/models", "store az://other/models, not az://mllocal/models"),
    (("place", "platforms"), "", "platforms (none), not studio emulator, subscription"),
    (("emulator",), "http://evil.example", "must be http(s)://127.0.0.1:PORT"),
    (("emulator",), "", "snapshot.emulator: must say where"),
    ((*STORES,), {}, "holds nothing of az://mllocal/models; take one of"),
    (("at",), "yesterday", "snapshot.at: must be a moment"),
    (("commit",), "$(id)", "snapshot.commit: must be"),
    (("place",), None, "snapshot.place: must be an object"),
    (("answers", "management"), [], "snapshot.answers.management: must be an object"),
    ((*ASKED, "status"), 500, "]: must have status 200 or 404"),
    ((*ASKED, "status"), True, "].status: must be a whole number"),
    ((*ASKED, "body"), DEEP, "nested deeper than 100 levels"),
    ((*FILES, "a/\x1b[31m"), FILE, "without control characters"),
    ((*FILES, "a"), FILE | {"size": -1}, ".files['a']: must not have a negative size"),
    ((*FILES, "a"), FILE | {"size": "1"}, ".files['a'].size: must be a whole number"),
    ((*FILES, "a"), FILE | {"etag": "\x1b"}, "without control characters"),
    ((*FILES, "a"), FILE | {"fingerprint": "\n"}, "without control characters"),
    ((*STORES, FIRST, "listed"), [1], ".listed[0]: must be text"),
]


@pytest.mark.parametrize(("path", "value", "said"), HOSTILE)
def test_a_damaged_or_foreign_snapshot_is_refused_with_its_place(
    command: Command, taken: dict[str, Any], path: tuple[str | int, ...], value: Any, said: str
) -> None:
    inside: Any = taken
    for step in path[:-1]:
        inside = inside[next(iter(inside)) if step == FIRST else step]
    inside[path[-1]] = value
    ran = refused(command, taken)
    assert ran.code == errors.CONFIGURATION, ran.err
    assert "error: changed.json: " in ran.err or "holds nothing of" in ran.err
    assert said in ran.err


def test_names_that_people_type_are_no_damage(command: Command, taken: dict[str, Any]) -> None:
    files = next(iter(taken["answers"]["stores"].values()))["files"]
    files["Kunden\u00a0Süd/👩\u200d💻.csv"] = FILE
    Path("typed.json").write_text(json.dumps(taken))
    assert command("plan", "--live", "typed.json").code == errors.SUCCESS


@pytest.mark.parametrize("part", ["at", "place", "emulator", "answers"])
def test_a_snapshot_without_a_part_is_refused(
    command: Command, taken: dict[str, Any], part: str
) -> None:
    del taken[part]
    ran = refused(command, taken)
    assert ran.code == errors.CONFIGURATION
    assert f"snapshot.{part}: is missing" in ran.err


def test_names_in_a_snapshot_cannot_move_a_cursor_or_write_markup(
    lab: Lab, command: Command, taken: dict[str, Any]
) -> None:
    """Whoever takes the snapshot may be lied to by a service; whoever shows it may not be."""
    bad = "\x1b[2J<script>@everyone\u202e"
    text = json.dumps(taken).replace("Breast Cancer [trained model]", json.dumps(bad)[1:-1])
    Path("bad.json").write_text(text)
    for form in ("text", "markdown", "json"):
        ran = command("plan", "--live", "bad.json", "-o", form)
        assert "\\u202e" in ran.out
        assert not {"\x1b", "\u202e"} & set(ran.out + ran.err)
    assert "<script>" not in command("plan", "--live", "bad.json", "-o", "markdown").out


def test_a_snapshot_that_is_too_large_is_not_read(
    command: Command, taken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.offline.exports.MOST_BYTES", 1000)
    ran = refused(command, taken)
    assert ran.code == errors.CONFIGURATION
    assert "larger than" in ran.err
