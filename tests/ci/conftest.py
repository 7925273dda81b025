"""A stand-in of GitHub that knows a bot and a person, and one open pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ci.standin import BOT, PERSON, REPOSITORY, StandIn, serving
from tests.cli.conftest import command as command
from tests.cli.conftest import lab as lab

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = "a1" * 20
MERGE = "b2" * 20
TOKEN = "ghs_canary0123456789"


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Pull request 7, and an environment that leads to it with the bot's token."""
    stand_in = StandIn()
    stand_in.tokens = {TOKEN: BOT, "ghp_person0123456789": PERSON}
    stand_in.open_pull(7, HEAD, MERGE)
    with serving(stand_in):
        monkeypatch.setenv("GITHUB_API_URL", stand_in.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        yield stand_in
