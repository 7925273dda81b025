"""Comments hold whatever names and messages there are, as GitHub's own Markdown reads them."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ci.comment_text import (
    GITHUB_TAKES,
    MOST_CHARACTERS,
    Context,
    Shown,
    is_marked,
    mark,
    plan_comment,
    report_comment,
    superseded,
)
from reconciler.ci.folds import length, without_middle
from reconciler.model import Action, Change, FieldDiff, Judgement, Plan, Report
from reconciler.render import risk as risks
from reconciler.render.cells import visible
from reconciler.render.markdown import escaped
from tests.render import cases
from tests.render.test_golden import agrees
from tests.render.test_properties import FEW, check_harmless, plans, reports, texts

COMMIT = "8f" * 20
PIECES = [
    *("@octocat", "@octo/team", "#12", "octo/x#12", "GH-12", "gh-7", "a@b.example"),
    *("https://evil.example", "www.evil.example", "<!--", "-->", "<script>", "</details>"),
    *("<b>", "&lt;", "&#64;x", "```", "~~~", "|", "\n", "\r\n\r\n", "# h", "- i", "1. x"),
    *("> q", "    code", "**", "_", "\\", "[l](x)", "![i](x)", "[^1]", "$a$", "\u202e"),
    *("</summary>", "<details>", "---", "===", "\x00", "\ud800", "😀", " ", "\t", ":"),
    *(":bug:", ":+1:", "a.yaml:100:18", ":a_b:c:", "deadbee", f"x {'7E' * 20}"),
]
NASTY = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
OURS = {
    *("h2", "h3", "p", "ul", "li", "strong", "em", "code", "pre", "br", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_LIVE = re.compile(r"@[\w-]|#\d|\bgh-\d|:[\w+-]+:|\bdeadbee\b|\b(7E){20}\b", re.IGNORECASE)


def context(document: Plan | Report, before: str = "") -> Context:
    plan = document if isinstance(document, Plan) else document.plan
    try:
        digest = plan.digest
    except UnicodeEncodeError:  # half a character, with which no plan can be read
        digest = "0" * 12
    return Context(Shown(digest, COMMIT), "0.1.0", before)


def comment(document: Plan | Report, most: int = MOST_CHARACTERS) -> str:
    if isinstance(document, Plan):
        return plan_comment(document, context(document), most)
    return report_comment(document, context(document), most)


class Page(HTMLParser):
    """What GitHub makes of a comment: its tags, all closed, and what people read."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.prose: list[str] = []
        self.code: list[str] = []
        made = cmarkgfm.github_flavored_markdown_to_html(text, options=Options.CMARK_OPT_UNSAFE)
        self.feed(made)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.code if "code" in self.open else self.prose).append(data)


def check_page(text: str) -> None:
    """Nothing but our own elements, and nothing that notifies, links or refers."""
    page = Page(text)
    assert set(page.tags) <= OURS
    assert not _LIVE.search("".join(page.prose))
    assert page.tags.count("h2") == 1
    check_harmless(text)


def nasty(plan: Plan, text: str) -> Plan:
    """The plan with a nasty text wherever a text is."""
    gates = tuple(replace(j, message=text, rule=replace(j.rule, metric=text)) for j in GATES)
    diffs = (FieldDiff(text, text, text),)
    changes = tuple(
        Change(text, text, f"{text}{n}", action, text, text, text, text, text, text, diffs, gates)
        for n, action in enumerate(Action)
    )
    return replace(plan, environment=text, cloud=text, excess=(text,), changes=changes)


GATES: tuple[Judgement, ...] = (cases.WORSE, cases.PENDING)


@FEW
@given(plans | reports, st.sampled_from([3_000, 8_000, MOST_CHARACTERS]))
def test_a_comment_is_short_enough_and_closed_or_there_is_none(
    document: Plan | Report, most: int
) -> None:
    whole = comment(document, 10**9)
    head = whole.partition("\n\n<details>")[0]
    try:
        text = comment(document, most)
    except ValueError:
        assert length(whole) > most
        return
    assert length(text) <= most
    assert text.startswith(head)
    check_page(text)


@FEW
@given(NASTY)
def test_nothing_that_others_write_notifies_links_or_breaks_out(text: str) -> None:
    check_page(comment(nasty(cases.EVERY_ACTION, text)))


@pytest.mark.parametrize("text", PIECES)
def test_no_piece_alone_does_either(text: str) -> None:
    check_page(comment(nasty(cases.EVERY_ACTION, text)))
    check_page(comment(nasty(cases.EVERY_ACTION, f"a {text} b")))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("services/shops.yaml:100:18", "services/shops.yaml:&#8203;100:&#8203;18"),
        ("classic/Diabetes :bug: Scoring", "classic/Diabetes :&#8203;bug: Scoring"),
        (":a_b:c:", ":&#8203;a\\_b:&#8203;c:"),
        ("see 62c0e778, GH-12", "see 6&#8203;2c0e778, GH&#8203;-12"),
        ("12:30, 20261101, 2026-11 and cafe", "12:30, 20261101, 2026-11 and cafe"),
    ],
)
def test_github_replaces_nothing_in_text_of_others(text: str, shown: str) -> None:
    assert escaped(text) == shown


@FEW
@given(NASTY | texts)
def test_escaped_text_is_read_as_it_was_written(text: str) -> None:
    read = "".join(Page(f"x{escaped(text)}x").prose).replace("\u200b", "").strip("\n")
    assert read == f"x{visible(text).strip()}x"


@FEW
@given(NASTY, st.integers(1, 30), st.integers(1, 6))
def test_details_lose_their_middle_and_the_head_loses_nothing(
    text: str, changes: int, diffs: int
) -> None:
    many = tuple(FieldDiff(f"recipe.{n}", text * 60, text) for n in range(diffs))
    plan = replace(
        cases.EVERY_ACTION,
        changes=tuple(
            replace(cases.EVERY_ACTION.changes[0], name=f"b{n}", why=f"{n % 9}", diffs=many)
            for n in range(changes)
        ),
    )
    short, whole = comment(plan, 12_000), comment(plan, 10**9)
    assert length(short) <= 12_000
    check_page(short)
    folds = "\n\n<details>"
    assert short.split(folds)[0] == whole.split(folds)[0]
    assert short.rsplit("</details>")[-1] == whole.rsplit("</details>")[-1]


def test_the_limit_leaves_room_below_that_of_github() -> None:
    assert MOST_CHARACTERS < GITHUB_TAKES * 0.95


@FEW
@given(st.lists(st.text(max_size=9), max_size=30), st.integers(-5, 120))
def test_what_is_left_out_is_counted_and_lies_in_the_middle(parts: list[str], room: int) -> None:
    left = without_middle(parts, room, "{} gone".format)
    notes = [at for at, part in enumerate(left) if part.endswith(" gone")]
    if left == parts:
        return
    assert sum(map(length, left)) + 2 * len(left) <= max(room, 0)
    for at in notes:
        assert left[at] == f"{len(parts) - len(left) + 1} gone"
        assert left[:at] == parts[:at]
        assert left[at + 1 :] == parts[len(parts) - len(left) + at + 1 :]


def test_length_is_what_the_strictest_reader_counts() -> None:
    assert [length(text) for text in ("", "ab", "→", "😀", "\ud800")] == [0, 2, 1, 2, 1]


# --- what stands in it -------------------------------------------------------------------------


def test_what_is_in_the_way_stands_before_all_else() -> None:
    text = comment(replace(cases.EVERY_ACTION, excess=("12 of 20 bindings would change",)))
    places = ["over the limit: 12 of 20", "### In the way", "| --- |", "<details>", "Plan 51a8b"]
    assert [text.index(said) for said in places] == sorted(text.index(said) for said in places)


def fleet(count: int, **more: Any) -> Plan:
    base = next(c for c in cases.EVERY_ACTION.changes if c.name == "diabetes-young")
    made = (
        replace(base, name=f"bike-{n:03}", address=f"bikes/{n:03}", **more) for n in range(count)
    )
    return Plan("local", "emulator", tuple(made))


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| `")]


def test_a_fleet_is_one_line_with_its_number() -> None:
    text = comment(fleet(1_000))
    (row,) = rows(text)
    assert "**bike-000, bike-001, … bike-999** ×1,000" in row
    assert "lines left out" in text
    assert "**bike-999**, bikes/999" in text


def test_what_differs_in_a_reason_a_version_or_a_gate_is_no_fleet() -> None:
    one, two, three, four = fleet(4).changes
    changes = (one, replace(two, why="x"), replace(three, after="3"), replace(four, gates=()))
    assert len(rows(comment(Plan("e", "c", changes)))) == 4


def test_a_fleet_that_begins_with_models_of_its_own_is_one_line_where_it_is_large() -> None:
    def begun(count: int) -> Plan:
        made = fleet(count)
        changes = (replace(c, before=f"{n:08x}….ilearner") for n, c in enumerate(made.changes))
        return replace(made, changes=tuple(changes))

    assert len(rows(comment(begun(5)))) == 5
    (row,) = rows(comment(begun(61)))
    assert "| 61 different → 2026-11 |" in row


def test_proofs_stand_alone_until_they_are_many() -> None:
    def told(count: int) -> str:
        proofs = (cases.proof(f"b{n}", after=cases.score("x", f"0.{n}1")) for n in range(count))
        return comment(Report(cases.EMPTY, proofs=tuple(proofs)))

    assert told(20).count("\n| ✓ |") == 20
    assert "**b0, b1, … b20** ×21 | 2026-11 | ✓ | 21 different |" in told(21)


def test_a_fleet_says_the_range_of_what_its_gates_measured() -> None:
    one, two = fleet(2).changes
    gates = (replace(cases.BETTER, candidate=0.95), *one.gates[2:])
    plan = Plan(
        "e", "c", (replace(one, gates=(cases.BETTER, *gates[1:])), replace(two, gates=gates))
    )
    (row,) = rows(comment(plan))
    assert "AUC 0.921…0.95 (+0.008…+0.037) ✓ noWorseThanLive 0.01" in row
    assert "gate: bike-001: AUC 0.913 → 0.95" in comment(plan), "each has its own in the details"


def test_refusals_by_the_same_gate_are_one_line_though_their_numbers_differ() -> None:
    gated = next(c for c in cases.EVERY_ACTION.changes if c.name == "gated")
    worse = replace(cases.WORSE, candidate=0.7)
    other = replace(gated, name="other", why="AUC is 0.7", gates=(worse, *gated.gates[1:]))
    text = comment(Plan("e", "c", (gated, other)))
    assert "- **gated, other** ×2, refused: gate: AUC 0.7…0.8 (-0.213…-0.113) ✗" in text


def test_the_foot_says_how_to_apply_exactly_this() -> None:
    plan = replace(cases.EVERY_ACTION, environment="my env")
    assert (f"```\nreconciler apply --environment 'my env' --expect {plan.digest}\n```") in comment(
        plan
    )
    assert "reconciler apply" not in comment(cases.EMPTY)


@pytest.mark.parametrize("name", cases.PLANS)
def test_a_comment_about_a_plan_looks_as_it_did(name: str) -> None:
    agrees(f"comment_plan_{name}.md", comment(cases.PLANS[name]))


@pytest.mark.parametrize("name", cases.REPORTS)
def test_a_comment_about_a_run_looks_as_it_did(name: str) -> None:
    agrees(f"comment_report_{name}.md", comment(cases.REPORTS[name]))


BIND = fleet(1, probe="12ab").changes[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (BIND, "low: the gates passed, and a probe proves it"),
        (replace(BIND, code="roll_back", gates=()), "low: the last model known"),
        (replace(BIND, probe=""), "medium: no probe proves it"),
        (replace(BIND, gates=()), "medium: no gate judges the model"),
        (replace(BIND, gates=(cases.PENDING,)), "medium: its metrics are not known yet"),
        (replace(BIND, warnings=("x", "y")), "medium: 2 warnings"),
        (replace(BIND, probe="", gates=()), "high: no gate judges the model, no probe"),
        (replace(BIND, warnings=("x",), adopted=True), "high: there is no way back"),
        (replace(BIND, action=Action.DELETE), "high: the endpoint is deleted"),
        (replace(BIND, action=Action.BLOCK), "none: nothing is changed"),
        (replace(BIND, action=Action.BLOCK, code="unreadable"), "unknown"),
        (replace(BIND, action=Action.WAIT, code="updating"), "none: an earlier run started it"),
        (replace(BIND, action=Action.WAIT, code="training", probe=""), "medium: no probe"),
        (replace(BIND, action=Action.NOOP, code="paused"), "none: left as it is"),
    ],
)
def test_risk_is_said_with_its_reasons(change: Change, said: str) -> None:
    assert risks.risk(change).startswith(said)


# --- finding it again --------------------------------------------------------------------------


@FEW
@given(NASTY | texts, NASTY | texts)
def test_the_mark_of_an_environment_finds_its_comments_and_no_other(one: str, two: str) -> None:
    first, second = (replace(cases.EMPTY, environment=name) for name in (one, two))
    marks = {mark(first), mark(second), mark(Report(first))}
    assert len(marks) == (2 if one == two else 3)
    assert "--" not in mark(first)[4:-3]
    assert is_marked(comment(first), mark(first))
    assert is_marked(comment(first).replace("\n", "\r\n"), mark(first))
    assert not is_marked(superseded(comment(first), mark(first)), mark(first))


def test_ten_earlier_plans_are_kept_and_each_once() -> None:
    body = ""
    for number in range(15):
        plan = replace(cases.EVERY_ACTION, environment=f"e{number % 13}")
        body = plan_comment(plan, context(plan, body))
    assert body.count("- plan ") == 10
    assert len(set(re.findall(r"- plan (\w+) of", body))) == 10
    check_page(body)


@FEW
@given(NASTY | texts)
def test_what_somebody_wrote_into_our_comment_is_not_repeated(text: str) -> None:
    edited = f"{mark(cases.EMPTY)}\n<!-- reconciler:shown {text} -->\n{text}"
    assert plan_comment(cases.EMPTY, context(cases.EMPTY, edited)) == comment(cases.EMPTY)


def test_a_superseded_comment_is_folded_whole_and_not_longer_than_it_may_be() -> None:
    body = comment(cases.EVERY_ACTION)
    folded = superseded(body, mark(cases.EVERY_ACTION))
    assert "In the way" in folded
    assert Page(folded).tags[0] == "details"
    assert length(superseded("x" * 65_000, "m")) < 1_000
