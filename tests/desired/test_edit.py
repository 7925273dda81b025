"""A version is changed inside its file, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired.edit import NewText, with_texts
from reconciler.desired.nodes import read
from reconciler.errors import ConfigurationError
from reconciler.model import Source

FILE = "prod/churn.yaml"
TEXT = """\
# what a pull request changes
kind: WebService
metadata: {name: churn}   # the name
spec:
  model:
    name:   churn
    version: @   # proven on Monday

  verify: {request: "é\U0001f600 2026-10.json", note: 2026-10 }
"""


def edited(text: str, new: str, old: str = "2026-10", number: int = 0) -> str:
    place = read(FILE, text.removeprefix("\ufeff"))[0][number].at("metadata", "name")
    return with_texts(FILE, text, [NewText(place, old, new)])


def refusal(text: str, new: str = "2026-11", old: str = "2026-10") -> str:
    with pytest.raises(ConfigurationError) as caught:
        edited(text, new, old)
    return caught.value.message


WRITTEN = [
    ('"2026-10"', "2026-11", '"2026-11"'),
    ("'2026-10'", "2026-11", "'2026-11'"),
    ("2026-10", "2026-11", '"2026-11"'),
    ("v1", "v2.0-rc_1", "v2.0-rc_1"),
    ("v1", "1.10", '"1.10"'),
    ("v1", "2026-11-01", '"2026-11-01"'),
    ("v1", "1e3", '"1e3"'),
    ("v1", "no", '"no"'),
    ("v1", "True", '"True"'),
    ("'v1'", "no", "'no'"),
    ('"v1"', "v2", '"v2"'),
    ('"2026\\\n      -10"', "2026-11", '"2026-11"'),
]


@pytest.mark.parametrize(("before", "new", "after"), WRITTEN)
def test_only_the_scalar_is_written_over(before: str, new: str, after: str) -> None:
    old = "v1" if "v1" in before else "2026-10"
    assert edited(TEXT.replace("@", before), new, old) == TEXT.replace("@", after)


@pytest.mark.parametrize(
    "around",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.rstrip("\n"),
        lambda text: "%YAML 1.1\n---\n" + text + "...\n",
    ],
)
def test_line_ends_and_marks_of_the_file_are_kept(around: object) -> None:
    assert callable(around)
    before, after = (around(TEXT.replace("@", v)) for v in ('"2026-10"', '"v-twelve"'))
    assert edited(before, "v-twelve") == after


def test_flow_and_json_layouts_are_kept() -> None:
    text = '{"metadata":{"name":"a"},"spec":{"model":{"version":"2026-10","name":"2026-10"}}}'
    assert edited(text, "7") == text.replace('"version":"2026-10"', '"version":"7"')
    text = "{metadata: {name: a}, spec: {model: {version: v1, name: v1}}}"
    assert edited(text, "v2", "v1") == text.replace("version: v1", "version: v2")


def test_many_documents_of_one_file_are_changed_at_once() -> None:
    text = "---\n".join(TEXT.replace("@", v) for v in ('"1"', "'1'", '"1"'))
    sources = [d.at("metadata", "name") for d in read(FILE, text)[0]]
    wanted = [NewText(sources[2], "1", "2"), NewText(sources[0], "1", "a-longer-one")]
    assert with_texts(FILE, text, wanted) == "---\n".join(
        TEXT.replace("@", v) for v in ('"a-longer-one"', "'1'", '"2"')
    )


@given(
    st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,126}\Z"), st.sampled_from(["{}", "'{}'", '"{}"'])
)
def test_every_version_is_read_back_as_the_text_that_it_is(version: str, quoted: str) -> None:
    text = edited(TEXT.replace("@", quoted.format("old")), version, "old")
    assert read(FILE, text)[0][0].text("spec", "model", "version") == version


SHARED = "an anchor or an alias makes this one value with another; write both out"
REFUSED = [
    ('&v "2026-10"', 7, 14, SHARED),
    ('"v${season}"', 7, 14, '"v${season}" is filled in by forEach; change its elements instead'),
    ("|-\n      2026-10\n ", 7, 14, 'a block of lines; write "2026-10" on the line of the key'),
    (">-\n      2026-10\n ", 7, 14, 'a block of lines; write "2026-10" on the line of the key'),
]


@pytest.mark.parametrize(("written", "line", "column", "why"), REFUSED)
def test_what_is_not_simply_written_there_is_refused_at_its_place(
    written: str, line: int, column: int, why: str
) -> None:
    said = refusal(TEXT.replace("@", written))
    assert said == f"{FILE}:{line}:{column}: spec.model.version: {why}"


ALIASES = [
    "metadata: {name: a, labels: {v: &v '2026-10'}}\nspec: {model: {version: *v}}\n",
    "metadata: {name: a, labels: &m {version: '2026-10'}}\nspec: {model: *m}\n",
    "metadata: {name: a}\nspec: {model: &m {version: '2026-10'}, other: *m}\n",
    "metadata: {name: a}\nspec: &s {model: {version: '2026-10'}}\nother: [*s]\n",
]


@pytest.mark.parametrize("text", ALIASES)
def test_a_version_that_is_shared_by_an_alias_is_refused(text: str) -> None:
    assert refusal(text).endswith(SHARED)


def test_an_anchor_that_nothing_uses_is_left_alone() -> None:
    text = "metadata: {name: a}\nspec: &s {model: &m {version: '2026-10'}}\n"
    assert edited(text, "x") == text.replace("2026-10", "x")


@pytest.mark.parametrize("now", ["2026-09", "2026-10"])
def test_a_file_that_was_changed_meanwhile_is_refused(now: str) -> None:
    text = TEXT.replace("@", f'"{now}"')
    elsewhere = Source(FILE, 3, 18 if now == "2026-09" else 17)
    with pytest.raises(ConfigurationError, match=r"3:1[78]: the file was changed meanwhile"):
        with_texts(FILE, text, [NewText(elsewhere, "2026-10", "2026-11")])


def test_a_file_that_became_unreadable_says_where() -> None:
    with pytest.raises(ConfigurationError, match=r"prod/churn.yaml:1:7: not YAML"):
        with_texts(FILE, "spec: {", [])


def test_all_refusals_are_said_at_once() -> None:
    text = "---\n".join([TEXT.replace("@", '&v "1"'), TEXT.replace("@", '"${a}"')])
    wanted = [NewText(d.at("metadata", "name"), "1", "2") for d in read(FILE, text)[0]]
    with pytest.raises(ConfigurationError) as caught:
        with_texts(FILE, text, wanted)
    assert len(caught.value.problems) == 2
