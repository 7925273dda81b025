"""One document that stands for many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.desired import load
from reconciler.errors import ConfigurationError
from tests.desired.trees import BINDING, ENVIRONMENT, GOOD, MODEL, PLATFORMS, complaints, write

if TYPE_CHECKING:
    from reconciler.model import Binding

TEMPLATE = """\
apiVersion: reconciler/v1
kind: ClassicEndpoint
metadata: {{name: "rental-${{location}}", labels: {{site: "${{location}}"}}}}
forEach: {generators}
spec:
  webService: Bike Rental
  endpoint: "rentalloc${{location}}"
  model: {{name: churn, version: "2026-11", with: {{location: "${{location}}"}}}}
"""
FLEET_MODEL = MODEL.replace("churn/${version}", "${location}/${version}")


def fleet(generators: str, **more: str) -> dict[str, str]:
    files = {"environment.yaml": ENVIRONMENT, "models/churn.yaml": FLEET_MODEL}
    named = {name.replace("_csv", ".csv").replace("_yaml", ".yaml"): t for name, t in more.items()}
    return {**files, "fleet.yaml": TEMPLATE.format(generators=generators), **named}


def made(folder: Path, files: dict[str, str]) -> list[Binding]:
    return list(load(write(folder, files), PLATFORMS)["prod"].bindings)


def names(folder: Path, files: dict[str, str]) -> list[str]:
    return [binding.name for binding in made(folder, files)]


def test_a_list_makes_one_binding_per_text(tmp_path: Path) -> None:
    first, second = made(tmp_path, fleet('{location: ["007", b]}'))
    assert (first.name, str(first.address)) == ("rental-007", "Bike Rental/rentalloc007")
    assert first.labels == (("site", "007"),)
    assert first.version.arguments == (("location", "007"),)
    assert dict(first.recipe.inputs) == {"input1": "datasets/007/2026-11.csv"}
    assert (first.element, second.element) == ("location=007", "location=b")
    assert first.source == second.source


def test_a_range_keeps_its_zeros(tmp_path: Path) -> None:
    found = names(tmp_path, fleet('{location: {from: "008", to: "011"}}'))
    assert found == ["rental-008", "rental-009", "rental-010", "rental-011"]


def test_a_range_without_zeros_grows(tmp_path: Path) -> None:
    assert names(tmp_path, fleet('{location: {from: "9", to: "10"}}')) == ["rental-10", "rental-9"]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_rows_of_a_csv_file(tmp_path: Path, mark: str) -> None:
    rows = f'{mark}location,region\n001,west\n\n002,"east, far"\n'
    files = fleet("{location: {file: sites.csv}}", sites_csv=rows)
    files["fleet.yaml"] = files["fleet.yaml"].replace(
        'site: "${location}"', 'site: "${location.region}"'
    )
    assert [dict(b.labels)["site"] for b in made(tmp_path, files)] == ["west", "east, far"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_break_in_a_quoted_cell_is_kept_and_lines_are_counted(
    tmp_path: Path, end: str
) -> None:
    rows = end.join(["location,note", '1,"first', "", 'second ""x"""', "2,plain", ""])
    files = fleet("{location: {file: sites.csv}}", sites_csv=rows)
    files["fleet.yaml"] = files["fleet.yaml"].replace(
        'site: "${location}"', 'site: "${location.note}"'
    )
    assert [dict(b.labels)["site"] for b in made(tmp_path, files)] == [
        'first\n\nsecond "x"',
        "plain",
    ]
    write(tmp_path, {"sites.csv": rows + "3"})
    with pytest.raises(ConfigurationError, match=r"sites\.csv: 6: 1 cell where the header has 2"):
        load(tmp_path, PLATFORMS)


def test_a_column_of_another_name(tmp_path: Path) -> None:
    files = fleet("{location: {file: sites.csv, column: id}}", sites_csv="id,x\n4,y\n")
    assert names(tmp_path, files) == ["rental-4"]


@pytest.mark.parametrize("rows", ['- "1"\n- "2"\n', '- {location: "1"}\n- {location: "2"}\n'])
def test_the_entries_of_a_yaml_file(tmp_path: Path, rows: str) -> None:
    files = fleet("{location: {file: _sites.yaml}}", _sites_yaml=rows)
    assert names(tmp_path, files) == ["rental-1", "rental-2"]


@pytest.mark.parametrize("rows", [["location, x", "location"], ["location", "location, x"]])
def test_entries_that_do_not_say_the_same_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[str]
) -> None:
    entries = (
        ", ".join(f'{key}: "{at}"' for key in row.split(", ")) for at, row in enumerate(rows)
    )
    text = "".join(f"- {{{entry}}}\n" for entry in entries)
    files = fleet("{location: {file: _sites.yaml}}", _sites_yaml=text)
    files["fleet.yaml"] = files["fleet.yaml"].replace('"${location}"', '"${location.x}"', 1)
    (complaint,) = said(tmp_path, monkeypatch, files)
    assert complaint.endswith(
        '_sites.yaml: 2: "x" is in some entries only; give it to all, or to none'
    )


def test_several_generators_make_their_cross_product(tmp_path: Path) -> None:
    files = fleet('{location: [a, b], season: {from: "1", to: "3"}}')
    files["fleet.yaml"] = (
        files["fleet.yaml"]
        .replace('"rental-${location}"', '"rental-${location}-${season}"')
        .replace('"rentalloc${location}"', '"${location}${season}"')
    )
    found = made(tmp_path, files)
    assert len(found) == 6
    assert found[0].element == "location=a, season=1"


def test_an_empty_generator_may_be_allowed(tmp_path: Path) -> None:
    empty = fleet("{location: {file: sites.csv, allowEmpty: true}}", sites_csv="location\n")
    files = {**GOOD, **empty, "models/churn.yaml": MODEL}
    assert names(tmp_path, files) == ["churn"]


def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> list[str]:
    monkeypatch.chdir(write(tmp_path, files))
    return list(complaints(Path()))


LIST = "4:10: forEach"
WRONG = [
    ("{}", f"{LIST}: a name with a generator is needed: {{location: […]}}"),
    ("[a]", f"{LIST}: a name with a generator is needed: {{location: […]}}"),
    ("{location: []}", "4:21: forEach.location: there are no elements; add some, or say allowEmpty: true"),
    ('{location: {from: "2", to: "1"}}', "4:21: forEach.location: there are no elements; add some, or say allowEmpty: true"),
    ("{location: [a, b, a]}", '4:21: forEach.location: "a" comes 2 times; elements are unique'),
    ("{location: [1]}", '4:22: forEach.location[0]: 1 is no text; write "1"'),
    ("{location: [no]}", '4:22: forEach.location[0]: no is no text; write "no"'),
    ("{location: [[a]]}", "4:22: forEach.location[0]: write a text"),
    ('{location: {from: "1"}}', '4:21: forEach.location: "to" is missing'),
    ('{location: {from: "1", to: "x"}}', '4:37: forEach.location.to: "x" is not a whole number; write digits, as "001"'),
    ('{location: {from: "1", to: "2", stop: a}}', '4:42: forEach.location.stop: unknown key "stop"; did you mean "to"?'),
    ("{location: {file: ../a.csv}}", '4:28: forEach.location.file: "../a.csv" leaves the folder; name a file beside or below this one'),
    (
        "{location: {file: none.csv}}",
        "4:28: forEach.location.file: none.csv: no such file; correct its name, or add it",
    ),
    ("{location: {file: churn.txt}}", "4:28: forEach.location.file: churn.txt: is neither .csv nor .yaml"),
    ("{location: {}}", '4:21: forEach.location: this is no generator; write a list of texts, {from: "001", to: "100"}, or {file: NAME.csv} or {file: _NAME.yaml}'),
    ("{lo-cation: [a]}", '4:11: forEach.lo-cation: "lo-cation" is no name; use letters, digits and underscores'),
    ('{location: [a], year: ["1"]}', "4:26: forEach.year: nothing uses ${year}"),
    ('{location: {from: "1", to: "999999999"}}', "4:10: forEach: 999,999,999 elements, and limits.bindings of the environment is 10,000; make fewer, or raise the limit"),
    ('{location: {from: "1", to: "100000"}}', f"{LIST}: 100,000 elements, and limits.bindings of the environment is 10,000; make fewer, or raise the limit"),
]  # fmt: skip


@pytest.mark.parametrize(("generators", "why"), WRONG, ids=[row[0] for row in WRONG])
def test_a_wrong_generator_is_refused_at_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generators: str, why: str
) -> None:
    files = {**fleet(generators), "churn.txt": "x"}
    assert said(tmp_path, monkeypatch, files) == [f"fleet.yaml:{why}"]


CSVS = [
    ("", "1: the file is empty; its first line must name the columns"),
    ("id,x\n1,2\n", 'has no column "location"; known: id, x; name it by column: NAME'),
    ("location,location\n1,2\n", '1: the column "location" is there twice'),
    ("location,\n1,2\n", "1: a column has no name"),
    ("location,x\n1\n", "2: 1 cell where the header has 2"),
    ("location,x\n1,\n", '2: the cell of "x" is empty'),
    ("location,x\n1,\u2028y\n", "2:3: the character U+2028 is not allowed; take it out"),
    ("location\r1\r", "1:9: a carriage return alone ends no line for git; end lines with LF"),
    ('location\n"1\n', "2: not CSV: unexpected end of data"),
    ("location;x\n1;2\n", "1: cells are not separated by commas; save it with commas"),
    ("sep=\t\nlocation\tx\n", "1: cells are not separated by commas; save it with commas"),
    ("location,x\n1, y\n", '2: the cell of "x" begins or ends with a blank; take it out'),
    ("location\n1\u00a0\n", '2: the cell of "location" begins or ends with a blank; take it out'),
    ("location\n<<<<<<< HEAD\n1\n", "2: a conflict of a merge; resolve it"),
    (
        "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n",
        "a pointer of Git LFS and not the file; fetch that (git lfs pull)",
    ),
]


@pytest.mark.parametrize(("rows", "why"), CSVS, ids=[row[1] for row in CSVS])
def test_a_wrong_csv_file_is_refused_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str, why: str
) -> None:
    (complaint,) = said(
        tmp_path, monkeypatch, fleet("{location: {file: sites.csv}}", sites_csv=rows)
    )
    assert complaint.startswith("fleet.yaml:4:28: forEach.location.file: sites.csv")
    assert complaint.endswith(why)


def test_a_csv_file_that_is_not_utf_8_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path, fleet("{location: {file: sites.csv}}"))
    (root / "sites.csv").write_bytes("location\n1\n".encode("utf-16"))
    monkeypatch.chdir(root)
    (complaint,) = complaints(root.relative_to(root))
    assert "is not UTF-8; save the file as UTF-8" in complaint


SETTINGS = """\
spec:
  protect: "${site.kept}"
  settings: {throttleLevel: "${site.level}", maxConcurrentCalls: "${site.calls}"}
"""


def with_settings(calls: str, kept: str = "true") -> dict[str, str]:
    rows = f"site,level,calls,kept\na,High,{calls},{kept}\nb,High,16,false\n"
    files = fleet("{site: {file: s.csv}}", s_csv=rows)
    text = files["fleet.yaml"].replace("location}", "site}").replace("spec:\n", SETTINGS)
    return {**files, "fleet.yaml": text}


def test_a_placeholder_may_stand_for_a_number_or_a_boolean(tmp_path: Path) -> None:
    first, second = made(tmp_path, with_settings("08"))
    assert dict(first.settings)["maxConcurrentCalls"] == "8"
    assert dict(second.settings)["maxConcurrentCalls"] == "16"
    assert (first.protect, second.protect) == (True, False)


@pytest.mark.parametrize(
    ("calls", "kept", "complaint"),
    [
        ("many", "true", '7:66: spec.settings.maxConcurrentCalls: "many" is text; write a whole '),
        ("1e3", "true", '7:66: spec.settings.maxConcurrentCalls: "1e3" is text; write a whole '),
        ("201", "true", "7:66: spec.settings.maxConcurrentCalls: 201 is out of range; write 1 to"),
        ("16", "yes", '6:12: spec.protect: "yes" is text; write true or false [site=a]'),
    ],
)
def test_what_is_no_number_or_boolean_is_refused_with_its_element(
    calls: str, kept: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = said(tmp_path, monkeypatch, with_settings(calls, kept))
    assert one.startswith(f"fleet.yaml:{complaint}")
    assert one.endswith("[site=a]")


def test_an_unknown_placeholder_is_refused_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = fleet("{location: [a, b]}")
    files["fleet.yaml"] = files["fleet.yaml"].replace("rentalloc${location}", "l${locaton}")
    assert said(tmp_path, monkeypatch, files) == [
        'fleet.yaml:7:13: unknown placeholder ${locaton}; did you mean "location"?'
    ]


def test_a_placeholder_without_a_generator_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {**GOOD, "churn.yaml": BINDING.replace("churn-predictive", "churn-${place}")}
    assert said(tmp_path, monkeypatch, files) == [
        "churn.yaml:6:15: unknown placeholder ${place}; declare it under forEach"
    ]


def test_a_thousand_equal_problems_are_one_and_name_an_element(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = fleet('{location: {from: "0001", to: "1000"}}')
    files["fleet.yaml"] = files["fleet.yaml"].replace("rentalloc$", "Rental_$")
    assert said(tmp_path, monkeypatch, files) == [
        'fleet.yaml:7:13: spec.endpoint: "Rental_0001" is not a name of an endpoint; use at most '
        "24 lower-case letters and digits [location=0001, and 999 more]"
    ]


def test_of_several_problems_at_one_place_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = fleet("{location: [a, b]}")
    twice = (
        files["fleet.yaml"]
        .replace('"rental-${location}"', '"rental"')
        .replace('"rentalloc${location}"', '"rentalloc"')
    )
    first, second = said(tmp_path, monkeypatch, {**files, "fleet.yaml": twice})
    assert "Bike Rental/rentalloc is bound already" in first
    assert 'the binding "rental" of the environment "prod" is declared already' in second


def test_elements_that_meet_at_one_address_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = fleet("{location: [a, b]}")
    files["fleet.yaml"] = files["fleet.yaml"].replace("rentalloc${location}", "rentalloc")
    assert said(tmp_path, monkeypatch, files) == [
        "fleet.yaml:3:18: Bike Rental/rentalloc is bound already (fleet.yaml:3:18, location=a); "
        "an address serves one model [location=b]"
    ]


def test_a_problem_of_the_model_names_the_element_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = fleet("{location: {file: s.csv}}", s_csv="location,n\na,1\n..,2\n")
    files["fleet.yaml"] = (
        files["fleet.yaml"]
        .replace('"rental-${location}"', '"r${location.n}"')
        .replace('"rentalloc${location}"', "x${location.n}")
    )
    (complaint,) = said(tmp_path, monkeypatch, files)
    assert 'the input "input1" becomes "datasets/../2026-11.csv"' in complaint
    assert complaint.endswith("[location=..]")


@pytest.mark.parametrize("path", ["environment.yaml", "models/churn.yaml"])
def test_only_bindings_are_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    files = {**GOOD, path: "forEach: {a: [b]}\n" + GOOD[path]}
    assert said(tmp_path, monkeypatch, files) == [
        f"{path}:1:1: forEach is for WebService and ClassicEndpoint; take it out here"
    ]


def test_a_placeholder_in_a_secret_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {**GOOD, "environment.yaml": ENVIRONMENT.replace("env:STORE_KEY", '"env:${site}"')}
    (complaint,) = said(tmp_path, monkeypatch, files)
    assert "must be the name of an environment variable" in complaint


def test_the_limit_counts_all_bindings_of_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = ENVIRONMENT + "  limits: {bindings: 2}\n"
    files = {**fleet("{location: [a, b, c]}"), "environment.yaml": limited}
    (complaint,) = said(tmp_path, monkeypatch, files)
    assert "3 elements, and limits.bindings of the environment is 2" in complaint
    files = {**fleet("{location: [a, b]}"), "environment.yaml": limited}
    files["one.yaml"] = files["fleet.yaml"].replace("[a, b]", "[c]")
    (complaint,) = said(tmp_path, monkeypatch, files)
    assert complaint.startswith("environment.yaml:3:18: 3 bindings, and limits.bindings is 2")


def test_complaints_about_an_unreadable_tree_are_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        load(write(tmp_path, fleet("{}")), PLATFORMS)
