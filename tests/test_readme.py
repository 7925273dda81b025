"""README and guides are held to the program: plan, quoted files, commands, options, codes, variables.

`UPDATE_GOLDEN=1` rewrites the recorded plan and the quoted files.
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from reconciler import errors, render
from reconciler.cli.app import app
from reconciler.model import Model
from tests.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
GUIDES = ROOT / ".github"
REFERENCE = (GUIDES / "REFERENCE.md").read_text(encoding="utf-8")


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} ")
        else:
            yield before + name, command


COMMANDS = dict(_commands(typer.main.get_command(app)))


def held(begin: str, wanted: str, page: Path = README) -> None:
    """Assert that the fenced block after a marker holds `wanted`, or rewrite it."""
    now = page.read_text(encoding="utf-8")
    start = now.index("\n", now.index("```", now.index(begin))) + 1
    stop = now.index("```", start)
    if os.environ.get("UPDATE_GOLDEN"):
        page.write_text(now[:start] + wanted + now[stop:], encoding="utf-8")
    else:
        assert now[start:stop] == wanted


def test_the_recorded_plan_is_what_people_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path)
    monkeypatch.chdir(tmp_path)
    lab.services = Path("services")
    lab.apply()
    old = {binding.name: binding for binding in lab.desired().bindings}
    lab.edit("diabetes.yaml", '"2026-10"', '"2026-11"')
    lab.apply()
    world, young = lab.world(), old["diabetes-young"]
    world.targets[young.kind].switch(young, Model(world.ledger.ref(young.version)))
    lab.clock.advance(60)
    lab.edit("breast-cancer.yaml", '"2026-10"', '"2026-11"')
    lab.edit("diabetes.yaml", "endpoint: senior", "endpoint: default")
    held("<!-- plan -->", render.plan_text(lab.foreseen()))


PAGES = [README, *sorted(GUIDES.glob("*.md"))]
QUOTED = [
    (page, name)
    for page in PAGES
    for name in re.findall(r"<!-- file (\S+) -->", page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("page", "name"), QUOTED, ids=[f"{p.stem} {n}" for p, n in QUOTED])
def test_a_quoted_file_is_the_shipped_one(page: Path, name: str) -> None:
    held(f"<!-- file {name} -->", (ROOT / name).read_text(encoding="utf-8"), page)


def test_an_environment_and_a_binding_are_quoted() -> None:
    assert len([name for page, name in QUOTED if page == README]) == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target, anchor in re.findall(
        r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text("utf-8")
    ):
        path = (page.parent / target) if target else page
        assert path.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in heads]


def section(title: str, text: str = TEXT) -> str:
    start = text.index(f"\n{title}\n")
    following = re.search(r"\n#{2,3} ", text[start + len(title) + 1 :])
    return text[start : start + len(title) + 1 + following.start()] if following else text[start:]


def test_every_command_is_in_the_table_and_nothing_else() -> None:
    listed = re.findall(r"^\| `reconciler ([\w -]+)` \|", section("## Commands"), re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


def test_every_command_has_one_line_of_help_and_an_example_that_can_be_run() -> None:
    for name, command in COMMANDS.items():
        assert len(name) <= len("reinstate") or name.startswith("ci "), name
        line = command.get_short_help_str(limit=200)
        assert len(line) <= 80 - len("  ci drift-issue  "), line
        program, *words = shlex.split(command.epilog.removeprefix("Example: "))
        given = words[len(name.split()) :]
        assert [program, *words] == ["reconciler", *name.split(), *given]
        command.make_context(name, given)


OF_THE_PROGRAM = ("--version", "--install-completion", "--show-completion")


def options_of(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from (o for o in parameter.opts if o.startswith("-") and o not in ("-h", "--help"))


def test_every_option_is_in_the_table_with_its_commands() -> None:
    table = section("## Options", REFERENCE)
    rows = re.findall(r"^\| (`-[^|]*) \| ([^|]*) \|", table, re.MULTILINE)
    for names, where in rows:
        commands = [name for name in COMMANDS if _applies(where, name)]
        for option in re.findall(r"`(-[\w-]+)`", names):
            having = sorted(n for n, c in COMMANDS.items() if option in options_of(c))
            assert having == sorted(commands) or option in OF_THE_PROGRAM, option
    listed = {option for names, _ in rows for option in re.findall(r"`(-[\w-]+)`", names)}
    assert listed >= {o for command in COMMANDS.values() for o in options_of(command)}


def _applies(where: str, command: str) -> bool:
    """Whether `all but a, b` or `a, b` includes a command."""
    named = re.findall(r"`(\w[\w -]*)`", where)
    return (command not in named) if where.strip().startswith("all but") else (command in named)


def test_every_exit_code_is_in_the_table() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", section("## Exit codes", REFERENCE), re.MULTILINE)
    listed = sorted(int(code) for row in rows for code in row.split(","))
    assert listed == sorted(
        value for name, value in vars(errors).items() if name.isupper() and type(value) is int
    )


def test_every_environment_variable_of_ours_is_in_the_table() -> None:
    source = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "reconciler").rglob("*.py"))
    used = set(re.findall(r'"(RECONCILER_[A-Z]+)"', source))
    listed = set(
        re.findall(r"`(RECONCILER_[A-Z]+)`", section("## Environment variables", REFERENCE))
    )
    assert used == listed != set()


def test_the_two_commands_are_one_line_each_and_make_a_virtual_environment() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    install, tests = blocks[0].strip(), blocks[1].strip()
    assert "\n" not in install + tests
    assert install.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert install.endswith("reconciler demo")
    assert ".venv/bin/pytest" in tests


def test_nothing_sends_anybody_to_the_reconciler_of_the_package_index() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["name"] == "endpoint-reconciler"
    folders = ("reconciler", ".github", ".ci", "schemas")
    files = [path for name in folders for path in (ROOT / name).rglob("*") if path.is_file()]
    files += [README, *ROOT.glob(".*.yaml"), *ROOT.glob("*.toml")]
    theirs = re.compile(r"(?:install|uvx|pipx run)\b[^\n`]*[\s'\"]reconciler(?![\w/.@-])")
    for path in files:
        if path.suffix != ".pyc":
            assert not theirs.search(path.read_text(encoding="utf-8")), path


def test_every_reconciler_command_line_in_a_block_parses() -> None:
    texts = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    blocks = "".join(re.findall(r"```sh\n(.*?)```", texts, re.DOTALL))
    lines = re.findall(r"(?:^|/)reconciler ([^\n&]+)$", blocks, re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        name = next(
            name for name in sorted(COMMANDS, reverse=True) if f"{line} ".startswith(f"{name} ")
        )
        rest = line.removeprefix(name).split()
        options = set(options_of(COMMANDS[name]))
        assert {word for word in rest if word.startswith("-")} <= options


def test_the_retirement_is_said_plainly_and_early() -> None:
    assert "retired" in TEXT[:3000]
    assert "31 Aug 2024" in TEXT[:3000]


LIFECYCLE = (GUIDES / "LIFECYCLE.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "cited", sorted(set(re.findall(r"`(reconciler/[^`]+\.py(?::\w+)?)`", LIFECYCLE)))
)
def test_what_the_guide_to_the_code_names_is_there(cited: str) -> None:
    path, _, name = cited.partition(":")
    text = (ROOT / path).read_text(encoding="utf-8")
    assert not name or re.search(rf"^(?:def|class) {name}\b", text, re.MULTILINE), cited
