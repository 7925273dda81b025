"""`report --html` through the command line, against the emulator."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli.report import repository, web_url
from reconciler.model import Model
from tests.page.tree import tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]


def test_the_page_tells_what_is_and_what_was_done_and_sends_only_reads(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("apply", "--yes", "--report", "run.json").code == errors.SUCCESS
    lab.want("2026-11")
    sent, serve = [], lab.cloud.handle
    monkeypatch.setattr(lab.cloud, "handle", lambda r: (sent.append(r.method), serve(r))[1])
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/models")
    monkeypatch.setenv("GITHUB_OUTPUT", "outputs")
    ran = command("report", "--html", "out/page.html", "--report", "run.json")
    assert (ran.code, ran.out) == (errors.SUCCESS, "")
    assert "wrote out/page.html: 4 endpoints, plan " in ran.err
    assert set(sent) <= {"GET", "HEAD"}
    assert "html-file" in Path("outputs").read_text()

    found = tree(Path("out/page.html").read_text(encoding="utf-8"))
    assert "4 changed, 4 proved, 0 failed" in found.said
    assert "4 to train and bind" in found.said
    assert len(list(found.all("svg"))) == 4  # a metric and the jobs of two models
    done = [tag.said for tag in found.all("td") if tag.attributes["data-label"] == "Where"]
    assert "diabetes-middle, diabetes-senior, diabetes-young" in done


def test_a_drift_is_said(lab: Lab, command: Command) -> None:
    command("apply", "--yes")
    world, by_name = lab.world(), {b.name: b for b in lab.desired().bindings}
    young, middle = by_name["diabetes-young"], by_name["diabetes-middle"]
    world.targets[young.kind].switch(young, Model(world.ledger.ref(middle.version)))
    assert command("report", "--html", "page.html").code == errors.SUCCESS
    said = tree(Path("page.html").read_text(encoding="utf-8")).said
    assert f"1 endpoint was changed outside git since the last proof: {young.name}" in said


def test_what_cannot_be_read_is_on_the_page_and_in_the_exit_code(
    lab: Lab, command: Command
) -> None:
    lab.close()
    lab.server = None
    assert command("report", "--html", "page.html").code == errors.ERROR
    found = tree(Path("page.html").read_text(encoding="utf-8"))
    assert "4 unreadable" in found.said
    assert "Not all of its versions could be read" in found.said


def test_only_the_report_of_a_run_of_the_environment_is_told(lab: Lab, command: Command) -> None:
    command("plan", "--out", "plan.json")
    command("apply", "--yes", "--report", "run.json")
    Path("other.json").write_text(
        Path("run.json").read_text().replace('"environment": "local"', '"environment": "other"')
    )
    for file, why in (
        ("none.json", "cannot be read: No such file"),
        ("plan.json", "a plan, not a report; `apply --report` writes one"),
        ("other.json", "does not fit the changes"),
    ):
        ran = command("report", "--html", "page.html", "--report", file)
        assert ran.code == errors.CONFIGURATION
        assert why in ran.err
    assert not Path("page.html").exists()


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://github.com/acme/models.git", "https://github.com/acme/models"),
        ("https://user:secret@github.com/acme/models", "https://github.com/acme/models"),
        ("git@github.com:acme/models.git", "https://github.com/acme/models"),
        ("ssh://git@git.example.org:2222/acme/models.git", "https://git.example.org/acme/models"),
        ("https://git.example.org:8443/a/b/", "https://git.example.org:8443/a/b"),
        ("http://github.com/acme/models", ""),
        ("/srv/git/models", ""),
        ("../models", ""),
        ("https://github.com/acme/models?token=1", "https://github.com/acme/models"),
        ('https://github.com/a"><script>/b', ""),
        ("https://[::1/a", ""),
        ("javascript:alert(1)", ""),
        ("", ""),
    ],
)
def test_commits_are_read_where_the_remote_is_without_its_secrets(remote: str, url: str) -> None:
    assert web_url(remote) == url


def test_the_repository_is_that_around_the_services_else_the_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    on_github = {"GITHUB_REPOSITORY": "acme/models"}
    server = {**on_github, "GITHUB_SERVER_URL": "https://ghe.example.org"}
    services = tmp_path / "config" / "services"
    services.mkdir(parents=True)
    assert repository({}, services) == ""
    assert repository(on_github, services) == "https://github.com/acme/models"
    assert repository(server, services) == "https://ghe.example.org/acme/models"
    remote = ("git", "remote", "add", "origin", "git@git.example.org:a/b.git")
    for command in (("git", "init", "-q"), remote):
        subprocess.run(command, check=True, cwd=services.parent)
    assert repository({}, services) == "https://git.example.org/a/b"
    assert repository(server, services) == "https://git.example.org/a/b"
