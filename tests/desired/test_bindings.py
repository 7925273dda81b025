"""What is refused in a binding and its probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.desired.changes import BASE64_KEY, VERSION, Row, binding, each, said_of, whole
from tests.desired.trees import BINDING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

REQUEST = "churn.yaml:11:14: spec.verify.request:"
OUTSIDE = "leaves the folder; name a file beside or below this one"

SECOND = (
    BINDING.split("  verify")[0]
    .replace("name: churn", "name: second", 1)
    .replace("churn-predictive", "another")
)

BINDINGS = [
    binding(
        "an unknown model brings the nearest known one",
        "    name: churn",
        "    name: chrun",
        '8:11: spec.model.name: there is no model "chrun"; did you mean "churn"?',
    ),
    binding(
        "an argument that nothing uses is refused",
        VERSION,
        VERSION + "\n    with: {slice: a}",
        '10:12: spec.model.with: the model "churn" does not use ${slice}',
    ),
    binding(
        "an argument called version is refused",
        VERSION,
        VERSION + "\n    with: {version: a}",
        "10:12: spec.model.with: ${version} is the model's version; name this otherwise",
    ),
    binding(
        "a bound of an expectation that is a number in YAML must be text",
        "request: probe.json",
        "request: probe.json\n    expect: {p: {atLeast: 0.5}}",
        '12:27: spec.verify.expect.p.atLeast: 0.5 is a number; write "0.5" '
        "(this is text, or 1.10 becomes 1.1)",
    ),
    binding(
        "a tolerance below zero is none",
        "request: probe.json",
        'request: probe.json\n    compare: {with: other, within: "-0.1"}',
        '12:36: spec.verify.compare.within: "-0.1" is not a tolerance; write for example "0.01"',
    ),
    binding(
        "answers are compared with those of a binding that is there",
        "request: probe.json",
        "request: probe.json\n    compare: {with: chrun}",
        '12:21: spec.verify.compare.with: the environment has no binding "chrun"; did you mean "churn"?',
    ),
    binding(
        "answers are not compared with themselves",
        "request: probe.json",
        "request: probe.json\n    compare: {with: churn}",
        '12:21: spec.verify.compare.with: "churn" is this binding itself; name another one',
    ),
    whole(
        "answers are compared with those of a binding that answers a probe",
        "binding",
        f"{BINDING}    compare: {{with: second}}\n---\n{SECOND}",
        '12:21: spec.verify.compare.with: "second" has no spec.verify, so it answers no probe; '
        "give it one",
    ),
    whole(
        "answers are compared with those of a binding that stays",
        "binding",
        f"{BINDING}    compare: {{with: second}}\n---\n{SECOND}  state: absent\n",
        '12:21: spec.verify.compare.with: "second" is declared absent, so it will not answer; '
        "take compare out",
    ),
    binding(
        "an expectation that does not exist brings the nearest known one",
        "request: probe.json",
        "request: probe.json\n    expect: {p: {atleast: 0}}",
        '12:18: unknown key "atleast"; did you mean "atLeast"?',
    ),
    binding(
        "an address that cannot be made is a problem of the spec",
        "churn-predictive",
        "bad-service",
        "5:1: spec: prod has nothing called bad-service",
    ),
    whole(
        "two bindings of one name name both places",
        "second.yaml",
        BINDING.replace("churn-predictive", "another"),
        '4:9: the binding "churn" of the environment "prod" is declared already '
        "(churn.yaml:4:9); names are unique",
    ),
    whole(
        "two bindings of one address, whatever its case, name both places",
        "second.yaml",
        BINDING.replace("name: churn", "name: second", 1).replace("churn-pre", "Churn-Pre"),
        "4:9: Churn-Predictive is bound already (churn.yaml:4:9); an address serves one model",
    ),
]

NO_SERVICE = "is not a name of a web service; it must not contain / \\ ? # % or a control character"
NAMES = [
    binding(
        f"a service called {name!r}",
        "churn-predictive",
        f'"{name}"',
        f'6:15: spec.webService: "{name}" {NO_SERVICE}',
    )
    for name in ("a/../b?x=1", "..", "a%2Fb", "a#b")
]

PROBES = [
    binding(
        "no probe file",
        "probe.json",
        "x.json",
        f'{REQUEST} "x.json": no such file; correct its name, or add it',
    ),
    binding(
        "a probe above the file",
        "probe.json",
        "../probe.json",
        f'{REQUEST} "../probe.json": {OUTSIDE}',
    ),
    binding(
        "a probe anywhere on the machine",
        "probe.json",
        "/etc/passwd",
        f'{REQUEST} "/etc/passwd": {OUTSIDE}',
    ),
    binding("a probe that is a folder", "probe.json", "models", f'{REQUEST} "models": not a file'),
    binding(
        "a probe that no system could name",
        "probe.json",
        '"a\\0b"',
        "11:14: the character U+0000 is not allowed; take its escape out",
    ),
    whole(
        "a probe that is not JSON",
        "probe.json",
        "{\n  a}",
        f'{REQUEST} "probe.json": not JSON: line 2, column 3: '
        "Expecting property name enclosed in double quotes",
    ),
    whole(
        "a probe that is a list",
        "probe.json",
        "[1]",
        f'{REQUEST} "probe.json": not a JSON object; begin with {{"Inputs": …}}',
    ),
    whole(
        "a probe that says something twice",
        "probe.json",
        '{"Inputs": {"a": 1, "a": 2}}',
        f'{REQUEST} "probe.json": not JSON that a service could read: "a" is twice in one object; '
        "keep one",
    ),
    whole(
        "a probe with NaN",
        "probe.json",
        '{"a": NaN}',
        f'{REQUEST} "probe.json": not JSON that a service could read: NaN is not a number of JSON',
    ),
    whole(
        "a probe with a number that overflows",
        "probe.json",
        '{"a": 1e999}',
        f'{REQUEST} "probe.json": not JSON that a service could read: 1e999 is too large a number',
    ),
    whole(
        "a probe that nests without end",
        "probe.json",
        '{"a":' + "[" * 100_000,
        f'{REQUEST} "probe.json": not JSON that a service could read: nested too deeply',
    ),
    whole(
        "a probe that is too long",
        "probe.json",
        " " * 1_048_577,
        f'{REQUEST} "probe.json": 1,048,577 bytes; 1 MiB (1,048,576) is the limit; make it smaller, or split it',
    ),
    whole(
        "a probe with a secret",
        "probe.json",
        f'{{"a": "{BASE64_KEY}"}}',
        f'{REQUEST} "probe.json": holds what looks like a secret; a probe is data only',
    ),
    whole(
        "a probe with a secret by its name",
        "probe.json",
        '{"Inputs": {"i": [{"key": "a"}]}, "GlobalParameters": {"Account Key": "hunter2"}}',
        f'{REQUEST} "probe.json": holds a secret by its name; a probe is data only',
    ),
    whole(
        "a probe whose columns are called like secrets",
        "probe.json",
        '{"Inputs": {"i": [{"key": "a"}]}, "GlobalParameters": {"Seed": "1"}}',
    ),
]


@each(BINDINGS + NAMES + PROBES)
def test_a_binding_that_fits_nothing_is_told_why(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said_of(row, tmp_path, monkeypatch) == row.expected
