"""The desired state, one of whose files is anything but what people write."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import strategies as st

from reconciler.cli.compose import load
from reconciler.desired.nodes import MAX_MESSAGE
from reconciler.errors import ConfigurationError
from reconciler.platforms import kinds
from tests.fuzz.mutations import damaged, every_other_value, foreign, mutated
from tests.fuzz.promise import always, check_types, parsed
from tests.lab import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hypothesis.strategies import DrawFn

EXAMPLES = 40
ODD_BODIES = 60
FILES = ("environment.yaml", "models/diabetes.yaml", "diabetes.yaml", "breast-cancer.yaml")
PROBE = "probes/diabetes.json"

# What YAML can say and JSON cannot.
_LINES = (
    *("a: &a [*a]", "&a a: *a", "<<: *nothing", "<<: {a: 1}", "? {a: 1}: 2", "? [1, 2]\n: 3"),
    *(
        "- &b x\n- *b",
        "!!python/object/apply:os.system [id]",
        "!!binary aGk=",
        "! x: 1",
        "%TAG ! !",
    ),
    *(
        "%YAML 9.9\n---",
        "---\n---\n---",
        "...",
        "--- |\n text",
        "\t- a",
        "a: |99\n  x",
        "a: >-\n\n",
    ),
    *("a: 0x1F", "a: 0b1", "a: 1_000", "a: 1:30", "a: .inf", "a: .nan", "a: ~", "a:", "no: no"),
    *(
        "a: 2026-11-23",
        "a: 2026-99-99",
        "a: 1e9999999",
        "=: 1",
        "a: =",
        "? ",
        "? \n: ",
        "*",
        "&",
        "@",
    ),
    *('a: "\\ud800"', 'a: "\\U00110000"', 'a: "\\x00"', 'a: "\\uFEFF"', "a: \ufeff", "a: \u2028b"),
    *("a: " + "[" * 60, "a: " + "{a: " * 5000, "- " * 4000, "? " * 3000, "[" * 9000 + "]" * 9000),
    *(
        "a: " + "9" * 5000,
        "x" * 2000 + ": 1",
        "'",
        '"',
        "a: 'b",
        "a: b: c",
        "{a: 1, a: 2}",
        "[a,,b]",
    ),
    *("x: &x [1,2,3,4,5,6,7,8,9]\ny: &y [*x,*x,*x,*x,*x,*x,*x,*x]\nz: [*y,*y,*y,*y,*y,*y,*y,*y]",),
)


def bomb(levels: int, width: int) -> str:
    """A text whose aliases stand for `width ** levels` values."""
    lines = ["l0: &l0 x"]
    for level in range(1, levels + 1):
        aliases = ",".join([f"*l{level - 1}"] * width)
        lines.append(f"l{level}: &l{level} [{aliases}]")
    return "\n".join(lines) + "\n"


@st.composite
def broken_yaml(draw: DrawFn, text: str) -> bytes:
    """The text with odd lines in it: anywhere, at the indentation of where they stand."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines)))
        before = lines[at - 1] if at else ""
        indent = before[: len(before) - len(before.lstrip())]
        odd = draw(st.sampled_from([*_LINES, bomb(9, 9), bomb(3, 40), *lines]))
        shift = draw(st.sampled_from(["", "  ", "    ", "- "]))
        lines.insert(at, f"{indent}{shift}{odd}")
        if draw(st.booleans()):
            del lines[draw(st.integers(0, len(lines) - 1))]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def anything_for(text: str) -> st.SearchStrategy[bytes]:
    """Broken YAML, damaged bytes, and the documents with odd nodes: as JSON, which is YAML too."""
    documents = [one for one in yaml.safe_load_all(text) if one is not None]
    first: Any = documents[0]
    return st.one_of(broken_yaml(text), broken_yaml(text), damaged(text.encode()), mutated(first))


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str], Callable[[bytes], None]]:
    """By name of a file, what loads the tree in which that file has other bytes."""
    root = tmp_path / "services"
    shutil.copytree(LOCAL, root / "local", ignore=shutil.ignore_patterns("_emulator"))

    def of(name: str) -> Callable[[bytes], None]:
        def loaded(body: bytes) -> None:
            (root / "local" / name).write_bytes(body)
            try:
                found = load(root)
            except ConfigurationError as exc:
                for problem in exc.problems:
                    assert str(problem).isprintable()
                    assert len(problem.message) <= MAX_MESSAGE
                raise
            for wanted in found.values():
                check_types(wanted.environment)
                for binding in wanted.bindings:
                    assert binding.kind in kinds()
                    check_types(binding.recipe)
                    check_types(binding.version)
                    json.dumps(binding.recipe.as_json(), ensure_ascii=False).encode()

        return loaded

    return of


@pytest.mark.parametrize("name", FILES)
def test_a_tree_with_a_broken_file_loads_or_says_where_it_is_wrong(
    name: str, put: Callable[[str], Callable[[bytes], None]], times: int
) -> None:
    text = (LOCAL / name).read_text(encoding="utf-8")
    always(EXAMPLES * times, anything_for(text), lambda body: parsed(put(name), body))


@pytest.mark.parametrize("name", FILES)
def test_one_odd_value_anywhere_in_a_document_is_survived(
    name: str, put: Callable[[str], Callable[[bytes], None]], times: int
) -> None:
    text = (LOCAL / name).read_text(encoding="utf-8")
    load_with = put(name)
    for document in yaml.safe_load_all(text):
        for body in every_other_value(document, ODD_BODIES * times):
            parsed(load_with, body)


@pytest.mark.parametrize("odd", [*_LINES, bomb(9, 9), bomb(3, 40)], ids=range(len(_LINES) + 2))
def test_an_odd_line_alone_is_survived(
    odd: str, put: Callable[[str], Callable[[bytes], None]]
) -> None:
    for name in ("breast-cancer.yaml", "new.yaml"):
        parsed(put(name), odd.encode("utf-8", "surrogatepass"))


def test_a_tree_with_a_broken_probe_loads_or_says_where_it_is_wrong(
    put: Callable[[str], Callable[[bytes], None]], times: int
) -> None:
    body = (LOCAL / PROBE).read_bytes()
    always(EXAMPLES * times, foreign(body), lambda body: parsed(put(PROBE), body))
    for odd in every_other_value(json.loads(body), ODD_BODIES * times):
        parsed(put(PROBE), odd)


def test_random_bytes_are_refused(put: Callable[[str], Callable[[bytes], None]]) -> None:
    drawn = random.Random(0)
    for _ in range(20):
        with pytest.raises(ConfigurationError):
            put("new.yaml")(drawn.randbytes(300))
