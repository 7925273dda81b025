"""The page of `report --html` as a document: complete in itself, safe, for every reader."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import redact
from reconciler.model import (
    Action,
    Cause,
    Event,
    EventKind,
    History,
    Reason,
    RuleKind,
)
from reconciler.render.cells import visible
from reconciler.render.status import Wrong, urgency, wrong_with
from reconciler.report import Overview, page_html
from reconciler.report import overview as parts
from reconciler.report.figures import figures
from reconciler.report.overview import DRIFT, alarms, done, grouped, models
from tests.page import cases
from tests.page.tree import Tag, tree
from tests.render.cases import change as change_of

PAGES = {
    "empty": cases.EMPTY,
    "few": cases.FEW,
    "after a run": cases.AFTER_A_RUN,
    "fleet": cases.fleet(100),
    "hostile": cases.hostile(),
}


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest) -> Tag:
    """A page as the command writes it: redacted once more, as a whole."""
    return tree(redact(page_html(PAGES[request.param])))


# --- it asks nobody --------------------------------------------------------------------------


def test_nothing_is_loaded_from_anywhere(page: Tag) -> None:
    for tag in page.all():
        loading = {"src", "srcset", "data", "action", "xlink:href", "style", "background"}
        assert not loading & set(tag.attributes), tag
        assert not [name for name in tag.attributes if name.startswith("on")], tag
    for sheet in page.all("style"):
        assert not re.search(r"url\(|@import|@font-face", sheet.text)
    assert not list(page.all("iframe", "object", "embed", "img", "base", "form2"))
    for link in page.all("a", "link"):
        allowed = rf"#\w+|data:,|{cases.REPOSITORY}/commit/{cases.COMMIT}"
        assert re.fullmatch(allowed, link.attributes["href"]), link


def test_the_policy_forbids_everything_but_the_one_style_and_the_one_script(page: Tag) -> None:
    (policy,) = (
        tag.attributes["content"]
        for tag in page.all("meta")
        if tag.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for name, kind in (("style", "style-src"), ("script", "script-src")):
        (block,) = page.all(name)
        digest = base64.b64encode(hashlib.sha384(block.text.encode()).digest()).decode()
        assert rules[kind] == f"'sha384-{digest}'"


def test_a_commit_is_a_link_only_where_it_can_be_read() -> None:
    def links(overview: Overview) -> set[str]:
        found = tree(page_html(overview)).all("a")
        return {a.attributes["href"] for a in found if not a.attributes["href"].startswith("#")}

    assert links(cases.FEW) == {f"{cases.REPOSITORY}/commit/{cases.COMMIT}"}
    for repository in ("", "javascript:alert(1)//", "http://plain.example"):
        assert links(replace(cases.FEW, repository=repository)) == set()


# --- what others wrote is text ---------------------------------------------------------------


def shape(page: Tag) -> Counter[str]:
    return Counter(f"{tag.name} {sorted(tag.attributes)}" for tag in page.all())


def with_text(text: str) -> Overview:
    """One endpoint whose every text is this one."""
    old = cases.endpoint("a", "m", Action.BIND, "x", "why", gates=())
    told = replace(old.history, versions=(), events=(), live=text)
    row = replace(old.row, name=text, address=text, live=text, wanted=text, message=text)
    change = replace(old.change, name=text, why=text, before=text, after=text, warnings=(text,))
    one = replace(old, row=row, change=change, history=told, model=text)
    return replace(cases.overview(one), program=text, notes=(text,))


@settings(max_examples=25, deadline=None)
@given(
    st.text(min_size=1).filter(str.strip)
    | st.sampled_from([cases.BAD, "</style><script>", "]]>", "<!--"])
)
def test_no_text_becomes_markup(text: str) -> None:
    found = tree(page_html(with_text(text)))
    assert shape(found) == shape(tree(page_html(with_text("plain"))))
    assert visible(text) in found.said.replace("\u00a0", " ") or "\u00a0" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u2028-\u202e]", found.said)


def test_a_hostile_environment_is_shown_as_what_it_is() -> None:
    found = tree(page_html(cases.hostile()))
    assert len(list(found.all("script"))) == 1
    (title,) = (
        t
        for t in found.all("title")
        if "aria" not in str(t.attributes) and "id" not in t.attributes
    )
    assert title.text.startswith("<script>alert(1)</script>")
    assert "\\u202egnp.exe" in title.text
    assert "{{7*7}}" in title.text


# --- every reader ----------------------------------------------------------------------------


def test_ids_are_unique_and_what_refers_to_one_finds_it(page: Tag) -> None:
    ids = [tag.attributes["id"] for tag in page.all() if "id" in tag.attributes]
    assert len(ids) == len(set(ids))
    for tag in page.all():
        named = " ".join(tag.attributes.get(name, "") for name in ("aria-labelledby", "for"))
        assert set(named.split()) <= set(ids), tag
        if tag.attributes.get("href", "").startswith("#"):
            assert tag.attributes["href"][1:] in ids


def test_headings_follow_each_other_without_a_gap(page: Tag) -> None:
    levels = [int(tag.name[1]) for tag in page.all("h1", "h2", "h3", "h4", "h5")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_have_captions_and_their_cells_say_of_what_they_are(page: Tag) -> None:
    for table in page.all("table"):
        assert table.children[0].name == "caption"
        assert table.children[0].text.strip()
        heads = [head.text for head in table.all("th") if head.attributes["scope"] == "col"]
        for row in list(table.all("tr"))[1:]:
            assert row.children[0].attributes["scope"] == "row"
            labels = [cell.attributes["data-label"] for cell in row.all("td")]
            assert labels == heads[1:]


def test_a_chart_is_named_described_and_has_its_figures_as_a_table(page: Tag) -> None:
    for svg in page.all("svg"):
        title, description, *_ = svg.children
        assert svg.attributes["role"] == "img"
        assert (title.name, description.name) == ("title", "desc")
        assert title.text
        assert description.text
    articles = [tag for tag in page.all("article") if list(tag.all("svg"))]
    assert all(list(article.all("table")) for article in articles)


def test_the_language_and_the_landmarks_are_there(page: Tag) -> None:
    (html,) = page.all("html")
    assert html.attributes["lang"] == "en"
    assert [len(list(page.all(name))) for name in ("header", "nav", "main", "footer")] == [1] * 4
    skip = next(page.all("a"))
    assert skip.attributes["href"] == "#content"


# --- what it says ----------------------------------------------------------------------------


def test_the_plan_says_what_a_plan_says() -> None:
    said = tree(page_html(cases.FEW)).said
    assert cases.FEW.plan.digest in said
    assert "5 bindings: 1 to train and bind, 1 to bind, 1 to wait for, 1 refused" in said
    for word in ("refused: default_endpoint", "train, then bind", "2026-09 → 2026-10"):
        assert word in said


def test_what_is_wrong_stands_first_with_the_command_to_type() -> None:
    names = {
        alarm.what: (alarm.names, alarm.command) for alarm in alarms("-e prod", cases.FEW.endpoints)
    }
    assert list(names) == sorted(names, key=list(Wrong).index)
    drifted, command = names[Wrong.DRIFTED]
    assert command == f"reconciler apply -e prod -t {drifted[0]}"
    refused, command = names[Wrong.REFUSED]
    assert command == f"reconciler plan -e prod -t {refused[0]}"
    text = tree(page_html(cases.FEW)).said
    assert text.index("Needs attention") < text.index(
        f"reconciler apply -e {cases.FEW.plan.environment}"
    )


def test_many_reasons_of_one_kind_are_counted_together() -> None:
    refused = [
        a for a in alarms("-e prod", cases.fleet(1_000).endpoints) if a.what is Wrong.REFUSED
    ]
    assert [len(alarm.names) for alarm in refused] == [10, 1], "figures alone tell no reasons apart"
    assert refused[0].why == (
        "not accepted: AUC is 0.91; at the others likewise, with their own figures"
    )
    assert refused[0].command == "reconciler plan -e prod"
    reasons = [
        replace(endpoint, row=replace(endpoint.row, message=f"reason {letter}"))
        for letter, endpoint in zip("abcde", cases.fleet(500).endpoints[90::91], strict=True)
    ]
    assert [len(alarm.names) for alarm in alarms("-e prod", reasons)] == [1, 1, 1, 2]


def test_drift_can_be_mended_or_kept() -> None:
    drifted, *others = (alarm for alarm in alarms("-e prod", cases.FEW.endpoints))
    assert drifted.what is Wrong.DRIFTED
    assert drifted.keep == f"reconciler drift -e prod -t {drifted.names[0]} --accept"
    assert not any(alarm.keep for alarm in others)
    assert "or, to keep what serves: reconciler drift" in tree(page_html(cases.FEW)).said


def test_what_no_file_can_say_is_not_to_be_kept() -> None:
    by_hand = tuple(replace(endpoint, keeps=False) for endpoint in cases.FEW.endpoints)
    drifted, *_ = (alarm for alarm in alarms("-e prod", by_hand))
    assert drifted.what is Wrong.DRIFTED
    assert drifted.keep == ""


def test_drift_of_what_is_paused_can_only_be_kept() -> None:
    left_alone = tuple(
        replace(e, change=replace(e.change, action=Action.NOOP, code=Reason.PAUSED))
        for e in cases.FEW.endpoints
    )
    drifted, *_ = (alarm for alarm in alarms("-e prod", left_alone))
    assert drifted.what is Wrong.DRIFTED
    assert drifted.command == f"reconciler drift -e prod -t {drifted.names[0]} --accept"
    assert drifted.keep == ""


def test_a_rejected_version_stands_before_one_that_goes_out_in_waves() -> None:
    overview = cases.rollout()
    first, *others = alarms("-e prod", overview.endpoints)
    assert (first.what, len(first.names)) == (Wrong.FAILED, 12)
    assert first.command == "reconciler explain scooter-00 -e prod"
    assert first.why.endswith("(rejected by run 4f0a at 2026-11-25T13:00:00Z)")
    waiting = next(alarm for alarm in others if len(alarm.names) == 20)
    assert waiting.what is Wrong.TO_APPLY
    said = tree(page_html(overview)).said
    assert "(rejected by run 4f0a at 2026-11-25T13:00:00Z)" in said
    assert "In waves: 2026-11 of bike-00 and 19 more goes to 1, then 5, then 14 endpoints" in said
    for number in (1, 2, 3):
        assert f"wave {number} of 3" in said


def test_where_nothing_is_wrong_that_is_said_first() -> None:
    calm = tuple(e for e in cases.FEW.endpoints if e.row.wrong is None)
    assert calm
    text = tree(page_html(replace(cases.FEW, endpoints=calm))).said
    assert "Every endpoint serves the version that git declares" in text


def test_an_unreadable_a_failed_and_an_old_refusal_are_told_apart() -> None:
    for change, what in (
        (change_of("a", Action.BLOCK, Reason.UNREADABLE, "why"), Wrong.UNREADABLE),
        (change_of("a", Action.BLOCK, Reason.REJECTED, "why", cause=Cause.FAILED), Wrong.FAILED),
        (change_of("a", Action.BLOCK, "code", "why", cause=Cause.REFUSED), Wrong.REFUSED),
        (change_of("a", Action.WAIT, "code", "why"), Wrong.WAITING),
        (change_of("a", Action.TRAIN, "code", "why"), Wrong.TO_APPLY),
        (change_of("a", Action.NOOP, "code", "why", cause=Cause.NOTHING), None),
    ):
        assert wrong_with(change) is what


def test_a_plan_sets_apart_what_does_not_come_from_this_change() -> None:
    old = change_of("old", Action.BLOCK, "code", "why", cause=Cause.REFUSED)
    plan = replace(cases.FEW.plan, changes=(change_of("new", Action.BIND, "code", "why"), old))
    text = tree(page_html(replace(cases.FEW, plan=plan))).said
    assert "From this change: 1 binding. From before it: 1 refused before." in text
    assert text.index("Not from this change:") > text.index("From this change: 1")


def test_the_run_is_told_where_there_was_one() -> None:
    said = tree(page_html(cases.AFTER_A_RUN)).said
    assert "1 changed, 1 proved, 1 failed" in said
    assert "Run with --force: the yearly move" in said
    assert "0.25 → 0.75" in said
    assert "Proofs of this run" not in tree(page_html(cases.FEW)).said


def chart(overview: Overview, at: int = 0) -> Tag:
    return list(tree(page_html(overview)).all("svg"))[at]


def classes(svg: Tag, name: str) -> list[str]:
    return [tag.attributes["class"] for tag in svg.all(name) if "class" in tag.attributes]


def test_a_chart_has_a_dot_per_version_the_live_one_marked_and_a_line_per_gate() -> None:
    svg = chart(cases.overview(cases.endpoint("a", "m", Action.NOOP, "in_sync")))
    assert Counter(classes(svg, "circle")) == {"dot other": 5, "dot refused": 1, "dot live": 1}
    assert [c for c in classes(svg, "g") if "is-" in c][:3] == [
        "series is-moving",
        "series is-gate",
        "series is-main",
    ]
    description = svg.children[1].text
    assert "2026-10: 0.9" in description
    assert "(serves now)" in description
    assert "gate: AUC atLeast 0.9" in description


def test_the_gate_of_a_single_version_is_a_line_too() -> None:
    one = cases.endpoint("a", "m", Action.NOOP, "in_sync")
    first = replace(one, history=replace(one.history, versions=one.history.versions[-2:-1]))
    svg = chart(cases.overview(first))
    assert classes(svg, "circle") == ["dot live"]
    gates = [tag for tag in svg.all("g") if tag.attributes.get("class") == "series is-gate"]
    assert any(list(gate.all("path")) for gate in gates)


def test_a_job_of_less_than_a_second_has_a_bar_too() -> None:
    one = cases.endpoint("a", "m", Action.NOOP, "in_sync")
    versions = tuple(replace(version, took_s=0.0) for version in one.history.versions)
    svg = chart(cases.overview(replace(one, history=replace(one.history, versions=versions))), 1)
    bars = [tag for tag in svg.all("rect") if tag.attributes["class"].startswith("dot")]
    heights = [float(bar.attributes["height"]) for bar in bars]
    assert len(heights) == len(versions)
    assert min(heights) > 50
    assert "2026-04: 1 s" in svg.children[1].text


def test_a_fleet_is_one_chart_with_its_median_and_what_it_spans() -> None:
    overview = cases.fleet(20)
    (bikes,) = (m for m in models(overview.endpoints) if m.name == "bike-rental")
    assert bikes.series == 20
    assert len(bikes.versions[0].made) == 20
    first = figures(bikes, "x")[0]
    assert [legend.look for legend in first.legends] == ["main", "edge", "live", "refused", "gate"]
    assert bikes.bounds[0][0].kind is RuleKind.AT_LEAST


def test_a_metric_that_is_no_number_is_not_drawn() -> None:
    (model,) = models(cases.hostile().endpoints)
    assert [figure.title for figure in figures(model, "x")][:1] == [
        f"AUC of {cases.BAD} by version"
    ]


def test_a_swap_to_what_was_proved_last_undid_a_drift() -> None:
    one = cases.endpoint("a", "m", Action.NOOP, "in_sync")
    lines = done([one])
    assert lines[0].what == (DRIFT, "proof")
    assert lines[0].at == "2026-11-20T10:01:00Z"
    assert [DRIFT in line.what for line in lines].count(True) == 1
    assert ("swap", "roll back") not in [line.what for line in lines]


def test_what_a_run_did_alike_at_many_endpoints_is_one_line() -> None:
    lines = done(cases.fleet(50).endpoints)
    healed = [line for line in lines if line.model == "bike-rental 2026-10" and line.run == "heal"]
    assert [len(line.names) for line in healed] == [50]


def test_what_needs_attention_comes_first_and_a_page_has_room_for_so_many() -> None:
    overview = cases.fleet(120)
    groups = grouped(overview.endpoints, most=10)
    assert sum(len(group.shown) for group in groups) == 10
    assert sum(len(group.members) for group in groups) == 125
    shown = [one.row for group in groups for one in group.shown]
    left = [one.row for group in groups for one in group.members if one not in group.shown]
    assert urgency(shown[0]) == min(map(urgency, [*shown, *left]))
    assert max(map(urgency, shown)) <= min(map(urgency, left))


def test_a_thousand_endpoints_are_a_page_that_a_browser_likes() -> None:
    text = page_html(cases.fleet(1000))
    assert len(text) < 1_500_000
    assert len(list(tree(text).all("svg"))) < 20


def test_more_endpoints_than_a_page_holds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "grouped", partial(grouped, most=50))
    found = tree(page_html(cases.fleet(150)))
    rows = [tag for tag in found.all("tr") if "data-name" in tag.attributes]
    left = map(int, re.findall(r"(\d+) more are left out", found.said))
    assert (len(rows), sum(left)) == (50, 105)


def test_versions_that_could_not_be_read_are_said() -> None:
    one = cases.endpoint("a", "m", Action.NOOP, "in_sync")
    unread = History("a", "a", "", (), (), unread="m/1/manifest.json is damaged")
    said = tree(page_html(cases.overview(replace(one, history=unread)))).said
    assert "Not all of its versions could be read: m/1/manifest.json is damaged" in said


def test_the_same_overview_is_the_same_page() -> None:
    assert page_html(cases.FEW) == page_html(cases.FEW)


def test_an_event_without_a_known_name_is_called_by_its_file() -> None:
    one = cases.endpoint("a", "m", Action.NOOP, "in_sync")
    event = Event("2026-11-20T10:00:00Z", EventKind.SWAP, cases.ref("m", "7"), "r", "")
    told = replace(one.history, events=(event,))
    assert done([replace(one, history=told)])[0].model == "m model.ilearner"


def test_the_number_of_endpoints_agrees_with_its_noun() -> None:
    one = replace(cases.FEW, endpoints=cases.FEW.endpoints[:1])
    assert "<b>1</b> endpoint</a></li>" in page_html(one)
    assert "<b>0</b> endpoints</a></li>" in page_html(cases.EMPTY)
