"""GitHub's answers say which pull request, branch and commit they are about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from scripted_server import Answer, StandIn

from reconciler.ci import branches
from reconciler.ci.github import GitHub
from reconciler.errors import UnreadableError

if TYPE_CHECKING:
    from reconciler.http.client import Http

SHA, OTHER = "a" * 40, "b" * 40


@pytest.fixture
def github(http: Http, stand_in: StandIn) -> GitHub:
    return GitHub(http, stand_in.url, "owner/name", "a-token-of-a-test")


def answering(stand_in: StandIn, value: object) -> None:
    stand_in.answers = [Answer(200, json.dumps(value).encode())]


def test_another_pull_request_is_not_believed(github: GitHub, stand_in: StandIn) -> None:
    pull = {"number": 8, "state": "open", "head": {"sha": SHA}, "base": {"ref": "main"}}
    answering(stand_in, pull)
    assert github.pull(8).head == SHA
    with pytest.raises(UnreadableError, match="expected pull request 7"):
        github.pull(7)


def test_another_branch_is_not_believed(github: GitHub, stand_in: StandIn) -> None:
    answering(stand_in, {"ref": "refs/heads/main", "object": {"sha": SHA}})
    assert branches.head_of(github, "main") == SHA
    with pytest.raises(UnreadableError, match="expected refs/heads/other"):
        branches.head_of(github, "other")


def test_another_commit_is_not_believed(github: GitHub, stand_in: StandIn) -> None:
    answering(stand_in, {"sha": SHA, "message": "m", "tree": {"sha": OTHER}})
    assert branches.commit(github, SHA).message == "m"
    with pytest.raises(UnreadableError, match="expected commit"):
        branches.commit(github, OTHER)


def test_a_commit_that_is_no_id_is_never_asked_for(github: GitHub, stand_in: StandIn) -> None:
    with pytest.raises(UnreadableError, match="which is not an id"):
        branches.commit(github, "../../../user")
    assert stand_in.heard == []
