"""Commands for a runner: findings arrive as they are, and no text is taken for a command."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ci.annotations import MOST_CHARACTERS, by_importance, error_command
from reconciler.ci.summary import cut_markdown, summary_markdown
from reconciler.model import NOWHERE, Source
from reconciler.render import plan_markdown, report_markdown
from reconciler.render.cells import disarmed
from reconciler.render.documents import json_document
from reconciler.render.findings import (
    Finding,
    plan_findings,
    proof_findings,
    report_findings,
)
from tests.render import cases
from tests.render.test_properties import FEW, plans, reports
from tests.runner import Said, commands

PIECES = ["::", ":", "#", "##[", "[", "]", "error", "::error file=a,line=1::x", "stop-commands"]
PIECES += [" ", "\t", "\n", "\r", "\r\n", "%", "%0A", ",", "=", "\u200b", "\xad", "\x85", "é", "x"]
hostile = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
plain = Finding(Source("services/a.yaml", 3, 5), "yaml", "Not strict YAML", "no")


def test_a_finding_is_one_line() -> None:
    assert error_command(plain) == (
        "::error file=services/a.yaml,line=3,col=5,title=Not strict YAML::no"
    )


def test_what_has_no_place_names_none() -> None:
    nowhere = dataclasses.replace(plain, source=NOWHERE)
    assert error_command(nowhere) == "::error title=Not strict YAML::no"
    whole_file = dataclasses.replace(plain, source=Source("a.yaml", 0, 0))
    assert error_command(whole_file) == "::error file=a.yaml,title=Not strict YAML::no"


@FEW
@given(hostile, hostile, hostile)
def test_a_runner_reads_one_error_whatever_a_finding_says(
    path: str, title: str, message: str
) -> None:
    found = Finding(Source(f"a{path}", 2, 3), "yaml", f"t{title}", message)
    (said,) = commands(error_command(found))
    assert (said.name, said.properties["file"]) == ("error", f"a{path}")
    assert (said.properties["line"], said.properties["col"]) == ("2", "3")


def test_percent_signs_colons_and_commas_arrive() -> None:
    found = Finding(Source("50%,a:b.yaml", 1, 1), "yaml", "a: b, c %0A", "100%\nof %25: x")
    told = {"file": "50%,a:b.yaml", "line": "1", "col": "1", "title": "a: b, c %0A"}
    assert commands(error_command(found)) == [Said("error", told, "100%\nof %25: x")]


def test_a_long_message_is_cut() -> None:
    (said,) = commands(error_command(dataclasses.replace(plain, message="x" * 9_000)))
    assert len(said.data) == MOST_CHARACTERS


@FEW
@given(hostile)
def test_no_text_is_a_command_once_it_is_disarmed(text: str) -> None:
    assert commands(disarmed(text)) == []


@pytest.mark.parametrize(
    "text", ["::error::x", "  ::x::", "a\r::x::y", "a ##[error]b", ":\u200b:a::"]
)
def test_without_being_disarmed_it_would_be_one(text: str) -> None:
    assert len(commands(text)) == 1


@pytest.mark.parametrize("text", ["a::b::c", "https://x/y#z", "# [1]", "a: b"])
def test_text_that_no_runner_obeys_is_left_alone(text: str) -> None:
    assert disarmed(text) == text


@FEW
@given(st.dictionaries(hostile, hostile, max_size=3))
def test_json_says_the_same_when_it_is_disarmed(value: dict[str, str]) -> None:
    assert json.loads(disarmed(json_document(value))) == value


def test_lines_that_were_changed_come_first_and_keep_their_order() -> None:
    def at(path: str, line: int) -> Finding:
        return dataclasses.replace(plain, source=Source(path, line, 1))

    found = [at("a", 1), at("a", 7), at("b", 1), at("c", 0), at("b", 9)]
    changed = {"a": (range(5, 8),), "b": (range(1, 2), range(9, 10)), "c": (range(4, 5),)}
    assert by_importance(found, changed) == [
        at("a", 7),
        at("b", 1),
        at("c", 0),
        at("b", 9),
        at("a", 1),
    ]
    assert by_importance(found, None) == found


def test_refusals_failures_and_lost_proofs_are_findings_where_they_are_written() -> None:
    blocked = cases.change("x", cases.Action.BLOCK, "protected", "it is protected")
    plan = dataclasses.replace(cases.EVERY_ACTION, changes=(blocked,), excess=("too many",))
    first, second = plan_findings(plan)
    assert (first.source, first.rule, first.message) == (blocked.source, "protected", blocked.why)
    assert "too many; apply refuses" in second.message
    failed = cases.Failure("x", blocked.address, "no", 1)
    (found,) = report_findings(cases.Report(plan, failures=(failed,)))
    assert (found.source, found.message) == (blocked.source, "no")
    lost = cases.proof("x", read_back=False)
    (found,) = proof_findings([lost], {lost.address: Source("x.yaml", 4, 2)})
    assert found.source == Source("x.yaml", 4, 2)


# --- the page ----------------------------------------------------------------------------------


@FEW
@given(plans, st.integers(0, 3_000))
def test_a_page_that_is_cut_is_short_enough_and_closes_what_it_opens(plan, most: int) -> None:  # type: ignore[no-untyped-def]
    page = cut_markdown(plan_markdown(plan), most)
    assert len(page.encode()) <= most
    assert page.count("\n<details>") == page.count("\n</details>")
    fences = [line for line in page.split("\n") if line.startswith("```")]
    assert len(fences) % 2 == 0


@FEW
@given(reports)
def test_a_page_that_fits_is_not_cut(report) -> None:  # type: ignore[no-untyped-def]
    page = report_markdown(report)
    assert cut_markdown(page, len(page.encode())) == page
    assert cut_markdown(page, len(page.encode()) - 1) != page


def test_a_cut_page_keeps_what_stands_first_and_says_that_it_is_cut() -> None:
    page = "## local\n\n" + "- x\n" * 1_000
    short = cut_markdown(page, 500)
    assert short.startswith("## local\n\n- x\n")
    assert short.endswith("*The rest is left out: the page would be too long.*\n")


def test_what_is_wrong_is_escaped_and_stands_above_the_document() -> None:
    found = Finding(Source("a_b.yaml", 1, 2), "yaml", "x", "<img> @all\n`")
    page = summary_markdown("## doc\n", [found])
    assert page.startswith(
        "### 1 error\n\n- **x** (a\\_b.yaml:&#8203;1:&#8203;2): &lt;img&gt; &#64;"
    )
    assert page.endswith("\n\n## doc\n")


def test_what_hits_a_fleet_is_one_command_so_that_others_are_shown_too() -> None:
    why = "reading webServices/g/{0}: GET https://x.example/webServices/{0}: 400 BadArgument"
    failures = [
        cases.Failure(f"b{n}", f"webServices/g/b{n}", why.format(f"b{n}"), 1) for n in range(61)
    ]
    other = cases.Failure("wine", "webServices/g/wine", "the disk is full", 1)
    first, second = report_findings(cases.Report(cases.EMPTY, failures=(*failures, other)))
    assert first.title == "b0 and 60 more: failed"
    assert all(f"b{n}" in first.message for n in range(61))
    assert second.title == "wine: failed"
