"""`approved`: only the plan of a merged pull request, at its last commit, of this repository."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors, render
from reconciler.ci import comment_text as rendering
from reconciler.ci.approved import MOST_PULLS
from reconciler.ci.github import GitHub
from reconciler.model import Action, Forecast, Plan
from tests.ci.conftest import HEAD, MERGE, TOKEN
from tests.ci.standin import Answer, StandIn, User
from tests.lab import LOCAL
from tests.render import cases

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

PLAN = replace(cases.EVERY_ACTION, commit=HEAD, id="0123456789abcdef")
BOT = User(1, "bot", {"pull-requests": "read", "actions": "read"})


def zipped(**files: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.json", content)
    return buffer.getvalue()


def keep(github: StandIn, content: bytes | None = None, **more: Any) -> None:
    content = zipped(plan=render.plan_json(PLAN)) if content is None else content
    given = {"run": 9001, "commit": HEAD, **more}
    github.artifacts.append(
        replace(github.keep_artifact("plan-local", content, run=1, commit=""), **given)
    )
    github.artifacts.pop(-2)


def comment(github: StandIn, plan: Plan = PLAN, number: int = 7, user: User | None = None) -> None:
    """Show a plan on a pull request, as `comment` does."""
    context = rendering.Context(rendering.Shown(plan.digest, plan.commit), "0.1.0")
    github.write_comment(number, user or BOT, rendering.plan_comment(plan, context))


@pytest.fixture(autouse=True)
def _merged(
    github: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Pull request 7 is merged; only what is applied needs a cloud."""
    if "lab" not in request.fixturenames:
        shutil.copytree(LOCAL, tmp_path / "services" / "local")
        monkeypatch.chdir(tmp_path)
    github.tokens[TOKEN] = BOT
    github.close_pull(7, MERGE)
    comment(github)


def approved(command: Command, *more: str) -> Ran:
    return command("ci", "approved", "--branch", "main", "--out", "approved", *more)


def written() -> list[str]:
    return sorted(path.name for path in Path("approved").iterdir())


def test_the_plan_of_a_merged_pull_request_approves(github: StandIn, command: Command) -> None:
    keep(github)
    ran = approved(command)
    assert ran.code == errors.SUCCESS, ran.err
    assert f"pull request 7 approved plan {PLAN.digest}" in ran.err
    assert written() == ["00000007.json"]
    kept = json.loads(Path("approved/00000007.json").read_text())
    assert kept["digest"] == PLAN.digest


def test_the_newest_plan_of_a_commit_is_taken(github: StandIn, command: Command) -> None:
    keep(github, zipped(plan=render.plan_json(replace(PLAN, changes=PLAN.changes[:1]))))
    keep(github)
    approved(command)
    assert json.loads(Path("approved/00000007.json").read_text())["digest"] == PLAN.digest


@pytest.mark.parametrize("state", ["open", "closed"])
def test_what_was_not_merged_approves_nothing(
    github: StandIn, command: Command, state: str
) -> None:
    keep(github)
    github.open_pull(7, HEAD)
    if state == "closed":
        github.close_pull(7)
    assert approved(command).code == errors.SUCCESS
    assert written() == []


@pytest.mark.parametrize("asked", ["&base=main", ""])
def test_what_was_merged_into_another_branch_approves_nothing(
    github: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Neither where GitHub is asked for what was merged into the branch, nor where it shows all."""

    def listing(self: GitHub, query: str, *more: Any, **named: Any) -> Any:
        assert "&base=main" in query
        return pulls(self, query.replace("&base=main", asked), *more, **named)

    pulls = GitHub.pulls
    monkeypatch.setattr(GitHub, "pulls", listing)
    keep(github)
    github.pulls[7]["base"]["ref"] = "other"
    approved(command)
    assert written() == []


# --- what people saw ------------------------------------------------------------------------------


def test_a_plan_that_its_comment_does_not_show_approves_nothing(
    github: StandIn, command: Command
) -> None:
    keep(github)
    github.comments[7].clear()
    comment(github, replace(PLAN, changes=PLAN.changes[:1]))
    comment(github, replace(PLAN, environment="other"))
    ran = approved(command)
    assert (ran.code, written()) == (errors.SUCCESS, [])
    assert "approves nothing: no comment that the owner of GITHUB_TOKEN wrote on it" in ran.err
    assert f"shows plan {PLAN.digest}" in ran.err


def test_a_comment_that_somebody_else_wrote_shows_nothing(
    github: StandIn, command: Command
) -> None:
    keep(github)
    github.comments[7].clear()
    comment(github, user=User(7, "mona", {}))
    approved(command)
    assert written() == []


def many_binds(count: int) -> Plan:
    """A plan of that many changes that do not fold."""
    bind = next(change for change in PLAN.changes if change.action is Action.BIND)
    unlike = [replace(bind, name=f"n{n}", address=f"a{n}", after=f"2026.{n}") for n in range(count)]
    return replace(PLAN, changes=tuple(unlike))


def test_a_plan_that_is_too_long_for_its_comment_approves_nothing(
    github: StandIn, command: Command
) -> None:
    plan = many_binds(300)
    keep(github, zipped(plan=render.plan_json(plan)))
    github.comments[7].clear()
    comment(github, plan)
    ran = approved(command)
    assert written() == []
    assert f"approves nothing: plan {plan.digest} was too long for its comment" in ran.err


def test_a_plan_that_a_later_one_took_the_place_of_was_seen(
    github: StandIn, command: Command
) -> None:
    """In a merge queue the plan of the queue's commit is shown last."""
    keep(github)
    before = github.comments[7][0]["body"]
    later = rendering.Context(rendering.Shown("0" * 12, "c" * 40), "0.1.0", before)
    github.comments[7][0]["body"] = rendering.plan_comment(PLAN, later)
    approved(command)
    assert written() == ["00000007.json"]


def test_where_nothing_comments_the_plan_itself_is_what_people_saw(
    github: StandIn, command: Command
) -> None:
    keep(github)
    github.comments[7].clear()
    github.write_comment(7, BOT, "well done")
    approved(command)
    assert written() == ["00000007.json"]


def test_a_pull_request_without_a_comment_approves_nothing_where_comments_are_asked_for(
    github: StandIn, command: Command
) -> None:
    keep(github)
    github.comments[7].clear()
    github.write_comment(7, BOT, "well done")
    ran = approved(command, "--commented")
    assert (ran.code, written()) == (errors.SUCCESS, [])
    assert f"wrote on it shows plan {PLAN.digest}" in ran.err


def test_a_plan_that_no_comment_could_show_needs_one_that_does(
    github: StandIn, command: Command
) -> None:
    """A job that failed to comment may have uploaded it nevertheless."""
    plan = many_binds(300)
    keep(github, zipped(plan=render.plan_json(plan)))
    github.comments[7].clear()
    ran = approved(command)
    assert (ran.code, written()) == (errors.SUCCESS, [])
    assert f"approves nothing: plan {plan.digest} was too long for a comment" in ran.err


# --- beyond one page -------------------------------------------------------------------------------


def test_the_plan_is_found_behind_any_number_of_newer_artifacts(
    github: StandIn, command: Command
) -> None:
    keep(github)
    for number in range(120):
        keep(github, b"", run=9100 + number, commit=f"{number:040x}")
    approved(command)
    assert written() == ["00000007.json"]


def test_a_pull_request_is_found_behind_any_number_that_were_only_closed(
    github: StandIn, command: Command
) -> None:
    keep(github)
    for number in range(100, 250):
        github.open_pull(number, f"{number:040x}")
        github.close_pull(number, at="2026-11-26T12:00:00Z")
    approved(command)
    assert written() == ["00000007.json"]


def test_those_that_were_merged_last_approve_and_that_there_are_older_ones_is_said(
    github: StandIn, command: Command
) -> None:
    """However lately the old ones were written on."""
    keep(github)
    for number in range(100, 100 + MOST_PULLS):
        github.open_pull(number, f"{number:040x}")
        github.close_pull(number, "e" * 40, at="2026-11-20T12:00:00Z")
        github.pulls[number]["updated_at"] = "2026-11-27T12:00:00Z"
    ran = approved(command)
    assert written() == ["00000007.json"]
    assert (
        f"only the last {MOST_PULLS} merged pull requests were looked at; older ones approve nothing"
        in ran.err
    )


def test_a_merged_pull_request_without_a_plan_is_named(github: StandIn, command: Command) -> None:
    ran = approved(command)
    assert (ran.code, written()) == (errors.SUCCESS, [])
    assert "no plan of local was found for the last commit of merged pull requests: 7\n" in ran.err


def test_a_listing_without_an_end_is_an_error(github: StandIn, command: Command) -> None:
    keep(github)
    pulls = [github.pulls[7] | {"number": n, "merged_at": None} for n in range(100)]
    github.instead = [Answer(200, pulls)] * 200
    ran = approved(command)
    assert ran.code == errors.ERROR
    assert "the list has more than 100 pages" in ran.err
    assert len(github.asked) == 100


# --- what is unfit ---------------------------------------------------------------------------------

BOMB = zipped(plan=b" " * (64 << 20) + b"{}")


def packed(how: int) -> bytes:
    """A zip of 2 kB that expands to more than memory should hold."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        archive.writestr("plan.json", b" " * (48 << 20))
    return buffer.getvalue()


def damaged(at: int, to: bytes) -> bytes:
    """A zip with other bytes in its directory, counted from where that begins."""
    content = zipped(plan=render.plan_json(PLAN))
    begin = content.index(b"PK\1\2") + at
    return content[:begin] + to + content[begin + len(to) :]


def with_forecasts(seconds: float) -> str:
    """A plan whose trainings take so long."""
    (train,) = (c for c in PLAN.changes if c.action is Action.TRAIN)
    changes = [
        replace(train, address=f"a{n}", key=f"{n:064}", forecast=Forecast("s", 40, 3, seconds))
        for n in range(2)
    ]
    return render.plan_json(replace(PLAN, changes=tuple(changes)))


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"fork": True}, "its plan is of a fork"),
    ({"expired": True}, "its plan has expired"),
    ({"content": b"<html>"}, "it is not a readable zip file"),
    ({"content": b""}, "it is not a readable zip file"),
    ({"content": zipped(other="{}")}, "its artifact holds no plan.json"),
    ({"content": zipped(plan="{")}, "not JSON"),
    ({"content": zipped(plan=b"\xff")}, "can't decode"),
    ({"content": zipped(plan="[" * 100_000)}, "nested too deeply"),
    ({"content": BOMB}, "plan.json is larger than 64 MiB"),
    ({"content": packed(zipfile.ZIP_BZIP2)}, "plan.json is neither stored nor deflated"),
    ({"content": packed(zipfile.ZIP_LZMA)}, "neither stored nor deflated"),
    ({"content": damaged(8, b"\1")}, "it is not a readable zip file"),  # encrypted
    ({"content": damaged(10, b"\x63")}, "neither stored nor deflated"),
    ({"content": damaged(42, b"\xff\xff\xff\x7f")}, "it is not a readable zip file"),
    ({"content": zipped(plan=with_forecasts(1.7e308))}, "is no forecast"),
    ({"content": zipped(**{f"f{n}": "" for n in range(200)})}, "more than 100 files"),
    ({"size": 1 << 40}, "it is larger than 64 MiB"),
    (
        {"content": zipped(plan=render.plan_json(replace(PLAN, commit="c" * 40)))},
        "not of its last commit",
    ),
    ({"content": zipped(plan=render.plan_json(replace(PLAN, id="")))}, "was only printed"),
    (
        {"content": zipped(plan=render.plan_json(replace(PLAN, environment="other")))},
        "its plan is of other",
    ),
]


@pytest.mark.parametrize(("more", "said"), UNFIT, ids=[str(n) for n in range(len(UNFIT))])
def test_a_plan_that_is_not_what_people_saw_approves_nothing(
    github: StandIn, command: Command, more: dict[str, Any], said: str
) -> None:
    keep(github, **more)
    ran = approved(command)
    assert ran.code == errors.SUCCESS, ran.err
    assert "pull request 7 approves nothing: " in ran.err
    assert said in ran.err
    assert written() == []


def test_a_download_that_never_ends_is_cut_off(github: StandIn, command: Command) -> None:
    keep(github, b"\0" * ((64 << 20) + 1), size=1)
    ran = approved(command)
    assert "larger than 67108864 bytes" in ran.err
    assert written() == []


@pytest.mark.parametrize("place", ["http://169.254.169.254/latest", "file:///etc/passwd", ""])
def test_a_download_from_somewhere_else_is_refused(
    github: StandIn, command: Command, place: str
) -> None:
    keep(github)
    github.instead = [None, None, Answer(302, "", {"Location": place})]
    ran = approved(command)
    assert ran.code == errors.REFUSED
    assert not Path("approved").exists()


def test_the_storage_account_never_hears_the_token(github: StandIn, command: Command) -> None:
    keep(github)
    ran = approved(command)
    assert ran.code == errors.SUCCESS
    (asked,) = [one for one in github.asked if one.path.startswith("/storage/")]
    assert "Authorization" not in asked.headers
    assert "storage-canary" not in ran.err


def test_a_job_without_the_permission_hears_which_line_is_missing(
    github: StandIn, command: Command
) -> None:
    github.tokens[TOKEN] = User(1, "bot", {"pull-requests": "read"})
    ran = approved(command)
    assert ran.code == errors.ERROR
    assert "add the line `actions: read` below `permissions:` of the job" in ran.err


def test_a_folder_with_something_in_it_is_not_added_to(github: StandIn, command: Command) -> None:
    Path("approved").mkdir()
    Path("approved/mine.json").write_text("{}")
    ran = approved(command)
    assert (ran.code, github.asked) == (errors.CONFIGURATION, [])
    assert "approved is not empty, and the files in it would approve too" in ran.err


def test_a_file_in_the_place_of_the_folder_is_said(github: StandIn, command: Command) -> None:
    Path("approved").write_text("")
    ran = approved(command)
    assert (ran.code, github.asked) == (errors.CONFIGURATION, [])
    assert "approved: no folder that files can be put into: Not a directory; name" in ran.err


# --- applied from a folder -----------------------------------------------------------------------


def folder_of(command: Command, *names: str) -> None:
    """A plan of its own for each binding."""
    Path("approved").mkdir()
    for name in names:
        command("plan", "--target", name, "--out", f"approved/{name}.json")


def test_each_change_may_be_in_another_plan(lab: Lab, command: Command) -> None:
    folder_of(command, "breast-cancer", "diabetes-*")
    ran = command("apply", "approved")
    assert ran.code == errors.SUCCESS, ran.err
    assert lab.plan().converged


def test_what_is_in_no_plan_is_named_and_nothing_is_done(lab: Lab, command: Command) -> None:
    folder_of(command, "diabetes-*")
    ran = command("apply", "approved", "--report", "report.json")
    assert ran.code == errors.STALE
    assert "breast-cancer: train " in ran.err
    assert "was not approved" in ran.err
    assert "diabetes" not in ran.err[ran.err.index("was not approved") :]
    assert [change.action for change in lab.plan().changes] == [Action.TRAIN] * 4
    (failure,) = json.loads(Path("report.json").read_text())["report"]["failures"]
    assert failure["exit_code"] == errors.STALE


def test_an_empty_folder_approves_nothing(lab: Lab, command: Command) -> None:
    Path("approved").mkdir()
    ran = command("apply", "approved")
    assert ran.code == errors.STALE
    assert command("apply", "--yes").code == errors.SUCCESS
    assert command("apply", "approved").code == errors.SUCCESS, "there is nothing to approve"


def test_a_plan_of_the_folder_is_applied_once(lab: Lab, command: Command) -> None:
    folder_of(command, "*")
    assert command("apply", "approved").code == errors.SUCCESS
    assert command("apply", "approved").code == errors.SUCCESS, "there is nothing to do"
    assert command("rollback", "breast-cancer", "--yes", "--reason", "a test").code in (0, 4)
    lab.want("2026-11")
    ran = command("apply", "approved")
    assert ran.code == errors.STALE
