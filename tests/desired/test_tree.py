"""Which files are read, and the trees that are wrong as a whole."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from reconciler.desired import load
from reconciler.errors import ConfigurationError
from tests.desired.trees import (
    BINDING,
    ENVIRONMENT,
    GOOD,
    MODEL,
    PLATFORMS,
    complaints,
    loaded,
    write,
)

NOTHING = (
    "no documents here; create environment.yaml (kind: Environment), models/NAME.yaml "
    "(kind: Model) and NAME.yaml (kind: WebService or ClassicEndpoint)"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("services")


def test_a_good_tree_has_nothing_to_complain_about(root: Path) -> None:
    assert complaints(write(root, GOOD)) == []


def test_a_root_that_does_not_exist_is_said(root: Path) -> None:
    assert complaints(root) == [
        "services: no such folder; name it with --services, or begin with `reconciler init`"
    ]


def test_a_root_that_is_a_file_is_said(root: Path) -> None:
    root.write_text("x")
    assert complaints(root) == [
        "services: not a folder; name it with --services, or begin with `reconciler init`"
    ]


def test_an_empty_tree_is_no_success(root: Path) -> None:
    assert complaints(write(root, {})) == [f"services: {NOTHING}"]


def test_a_file_that_declares_nothing_is_no_success(root: Path) -> None:
    empty = {"a.yaml": "", "b.yaml": "---\n---\n# only this\n", "c.txt": BINDING}
    said = "the file declares nothing; write a document, or delete it"
    for files in (empty, {**GOOD, **empty}):
        assert complaints(write(root, files)) == [
            f"services/a.yaml: {said}",
            f"services/b.yaml: {said}",
        ]


def test_models_alone_are_no_success(root: Path) -> None:
    assert complaints(write(root, {"m.yaml": MODEL})) == [
        "services/m.yaml:3:18: models alone change nothing; add an Environment and a binding"
    ]


def test_an_environment_may_come_first_alone_or_with_its_models(root: Path) -> None:
    assert loaded(write(root, {"e.yaml": ENVIRONMENT}))["prod"].bindings == ()
    assert loaded(write(root, {"m.yaml": MODEL}))["prod"].bindings == ()


WEST = ENVIRONMENT.replace("name: prod", "name: west").replace("ml-prod", "ml-west")
TWO = {
    "models/churn.yaml": MODEL,
    **{f"prod/{name}": text for name, text in GOOD.items() if "models" not in name},
    **{f"west/{name}": text for name, text in GOOD.items() if "models" not in name},
    "west/environment.yaml": WEST,
}
SHARED = BINDING.split("  verify")[0].replace("name: churn\n", "name: c\n", 1)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("west/churn.yaml", "["),
        ("west/churn.yaml", ""),
        ("west/churn.yaml", b"\xfc"),
        ("west/churn.yaml", BINDING.replace('"2026-10"', "4")),
        ("west/probe.json", "["),
        ("west/environment.yaml", "["),
        ("west/environment.yaml", ""),
        ("west/environment.yaml", WEST.replace("mlprod", "ML")),
        ("west/environment.yaml", WEST.replace("churn-training:", "other:")),
        ("west/deep/sites.yaml", f"forEach: {{a: {{file: none.csv}}}}\n{BINDING}"),
        ("west/other.yaml", SHARED.replace("name: churn\n", "name: nobody\n")),
        ("models/other.yaml", "["),
        ("models/other.yaml", MODEL.replace("name: churn", "name: other").replace("0.85", "x")),
        ("stray.yaml", BINDING),
    ],
)
def test_what_is_wrong_elsewhere_stops_no_environment(
    root: Path, path: str, content: str | bytes
) -> None:
    good = load(write(root, TWO), PLATFORMS)["prod"]
    assert complaints(write(root, {path: content})) != []
    assert load(root, PLATFORMS, only=["prod"])["prod"] == good


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("prod/churn.yaml", "["),
        ("prod/other.yaml", ""),
        ("prod/environment.yaml", "["),
        ("prod/environment.yaml", ENVIRONMENT.replace("mlprod", "ML")),
        ("prod/environment.yaml", ENVIRONMENT.replace("churn-training:", "other:")),
        ("prod/probe.json", "["),
        ("models/churn.yaml", "["),
        ("models/churn.yaml", MODEL.replace("0.85", "x")),
        ("models/churn.yaml", MODEL.replace("output2", "output1")),
        ("models/churn.yaml", MODEL.replace("${version}", "${place}")),
        ("models/second.yaml", MODEL),
        ("west/environment.yaml", ENVIRONMENT),  # one name twice
        ("west/environment.yaml", WEST.replace("ml-west", "ml-prod")),  # one address twice
        ("prod/second.yaml", WEST),  # two in a folder
    ],
)
def test_what_an_environment_needs_stops_it_wherever_that_is_wrong(
    root: Path, path: str, content: str
) -> None:
    write(root, {**TWO, path: content})
    everything = complaints(root)
    with pytest.raises(ConfigurationError) as caught:
        load(root, PLATFORMS, only=["prod"])
    assert {str(each) for each in caught.value.problems} <= set(everything)
    assert caught.value.problems


def test_names_that_begin_with_a_dot_or_an_underscore_are_skipped(root: Path) -> None:
    bad = {".x.yaml": "[", "_x.yaml": "[", "_seed/x.yaml": "[", ".git/x.yaml": "[", "x.txt": "["}
    assert complaints(write(root, {**GOOD, **bad})) == []


def test_yml_is_read_too(root: Path) -> None:
    assert complaints(write(root, {**GOOD, "x.yml": "["})) != []
    assert complaints(write(root, {"x.yml": None, **GOOD, "X.YAML": "["})) != []


def test_all_documents_of_a_file_are_read_and_empty_ones_skipped(root: Path) -> None:
    text = "---\n".join(["", ENVIRONMENT, "# nothing\n", MODEL, BINDING, ""])
    found = loaded(write(root, {"all.yaml": text, "probe.json": "{}"}))
    assert [each.name for each in found["prod"].bindings] == ["churn"]


def test_a_byte_order_mark_and_windows_line_ends_are_nobodys_fault(root: Path) -> None:
    text = BINDING.replace("\n", "\r\n").encode("utf-8-sig")
    assert complaints(write(root, {**GOOD, "churn.yaml": text})) == []
    text = BINDING.replace('"2026-10"', "4").replace("\n", "\r\n").encode("utf-8-sig")
    (said,) = complaints(write(root, {**GOOD, "churn.yaml": text}))
    assert said.startswith("services/churn.yaml:9:14: spec.model.version: 4 is a number")


def test_a_large_file_is_refused_before_it_is_read(root: Path) -> None:
    write(root, GOOD)
    with (root / "large.yaml").open("wb") as file:
        file.truncate(10_000_000)
    began = time.perf_counter()
    said = complaints(root)
    assert time.perf_counter() - began < 0.5
    too_large = "10,000,000 bytes; 1 MiB (1,048,576) is the limit; make it smaller, or split it"
    assert said == [f"services/large.yaml: {too_large}"]


def test_very_many_values_are_refused(root: Path) -> None:
    said = complaints(write(root, {**GOOD, "x.yaml": "[" + "a," * 200_000 + "]"}))
    assert said == ["services/x.yaml:1:200000: more than 100000 values in one file; split it"]


def test_links_that_leave_the_tree_are_refused(root: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"x.yaml": BINDING, "probe.json": "{}"})
    write(root, {**GOOD, "probe.json": None})
    (root / "probe.json").unlink(missing_ok=True)
    (root / "x.yaml").symlink_to(outside / "x.yaml")
    (root / "more").symlink_to(outside)
    (root / "probe.json").symlink_to(outside / "probe.json")
    assert complaints(root) == [
        'services/churn.yaml:11:14: spec.verify.request: "probe.json": '
        "a link that leaves the tree; put the file itself here",
        "services/more: a link that leaves the tree; put the folder itself here",
        "services/x.yaml: a link that leaves the tree; put the file itself here",
    ]


@pytest.mark.parametrize("is_repository", [True, False])
@pytest.mark.parametrize("link", ["services", "deep/services", "deep"])
def test_a_root_that_a_link_leads_out_of_the_repository_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str, is_repository: bool
) -> None:
    write(tmp_path / "outside/services", {**GOOD, "churn.yaml": BINDING + "  hunter2: x\n"})
    repository = tmp_path / "repository"
    (repository / link).parent.mkdir(parents=True)
    if is_repository:
        (repository / ".git").mkdir()
    target = tmp_path / "outside" / ("" if link == "deep" else "services")
    (repository / link).symlink_to(target)
    monkeypatch.chdir(repository)
    root = Path("deep/services" if link.startswith("deep") else "services")
    said = f"{root}: a link that leaves the repository; put the folder itself here"
    assert complaints(root) == [said]
    monkeypatch.chdir(tmp_path)
    if is_repository:
        assert complaints("repository" / root) == [f"repository/{said}"]


def test_a_root_may_be_a_link_within_the_repository_and_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = write(tmp_path / "repository", {f"desired/{n}": t for n, t in GOOD.items()})
    (repository / ".git").mkdir()
    (repository / "services").symlink_to("desired")
    (tmp_path / "home").symlink_to("repository")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert complaints(tmp_path / "home/services") == []
    assert complaints(Path("../home/services")) == []


def test_links_inside_the_tree_are_fine_for_files_only(root: Path) -> None:
    write(root, {**GOOD, "churn.yaml": None, "_kept/churn.yaml": BINDING})
    (root / "churn.yaml").symlink_to("_kept/churn.yaml")
    assert complaints(root) == []
    (root / "again").symlink_to("models")
    assert complaints(root) == ["services/again: a link to a folder; put the folder itself here"]


def test_links_to_nothing_and_in_circles_are_said(root: Path) -> None:
    write(root, GOOD)
    (root / "a.yaml").symlink_to("a.yaml")
    (root / "b.yaml").symlink_to("nowhere.yaml")
    first, second = complaints(root)
    assert first.startswith("services/a.yaml: cannot be read")
    assert second == "services/b.yaml: no such file; correct its name, or add it"
    (root.parent / "c").symlink_to("c")
    (problem,) = complaints(root.parent / "c")
    assert problem.startswith("c: not a folder")


def test_a_pipe_is_not_waited_for(root: Path) -> None:
    write(root, GOOD)
    os.mkfifo(root / "pipe.yaml")
    assert complaints(root) == ["services/pipe.yaml: not a file"]


def test_a_file_name_that_is_no_text_or_ends_a_line_is_refused(root: Path) -> None:
    write(root, GOOD)
    for name in (b"\xfc.yaml", "a\u2028b.yaml".encode(), b"a\nb.yaml"):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_text("[")
    why = "its name holds a line end or is not text; rename it"
    names = ["\\udcfc", "a\\nb", "a\\u2028b"]
    assert complaints(root) == [f"services/{name}.yaml: {why}" for name in names]


@pytest.mark.parametrize("odd", ["\xa0", "\xad", "\u200b", "👩\u200d💻"])
def test_the_path_of_a_file_is_the_real_one_whatever_is_shown(root: Path, odd: str) -> None:
    folder = f"Kunden{odd}Süd"
    files = {f"{folder}/{name}": text for name, text in GOOD.items()}
    (binding,) = loaded(write(root, files))["prod"].bindings
    assert Path(binding.source.path).read_text(encoding="utf-8") == BINDING
    write(root, {f"{folder}/churn.yaml": BINDING.replace('"2026-10"', "4")})
    (said,) = complaints(root)
    assert said.startswith(f"services/{folder}/churn.yaml:9:14: ") == odd.isprintable()
    assert said.isprintable()


def test_all_problems_of_the_tree_come_at_once_and_sorted(root: Path) -> None:
    files = {
        "z.yaml": "[",
        "churn.yaml": BINDING.replace('"2026-10"', "4").replace("probe.json", "''"),
        "models/churn.yaml": MODEL.replace("0.85", "x"),
        "environment.yaml": ENVIRONMENT.replace("mlprod/", "ML/"),
    }
    places = [said.split(": ")[0] for said in complaints(write(root, {**GOOD, **files}))]
    assert places == [
        "services/churn.yaml:9:14",
        "services/churn.yaml:11:14",
        "services/environment.yaml:5:16",
        "services/models/churn.yaml:11:30",
        "services/z.yaml:1:1",
    ]


@pytest.mark.parametrize("hidden", ["environment.yaml", "models/churn.yaml", "churn.yaml"])
def test_what_might_be_in_an_unreadable_file_is_not_called_missing(root: Path, hidden: str) -> None:
    (said,) = complaints(write(root, {**GOOD, hidden: "["}))
    assert said.startswith(f"services/{hidden}:1:1: not YAML")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("environment.yaml", ENVIRONMENT.replace("name: prod", "name: 4")),
        ("environment.yaml", ENVIRONMENT.replace("Environment", "environment")),
        ("environment.yaml", ENVIRONMENT.replace("mlprod", "ML")),
        ("models/churn.yaml", MODEL.replace("name: churn", "nam: churn")),
        ("models/churn.yaml", MODEL.replace("output1", "4")),
        ("churn.yaml", BINDING.replace("kind: WebService", "kind: [WebService]")),
    ],
)
def test_a_document_with_a_mistake_is_not_called_missing(root: Path, path: str, text: str) -> None:
    said = complaints(write(root, {**GOOD, path: text}))
    assert said
    assert all(line.startswith(f"services/{path}:") for line in said), said
