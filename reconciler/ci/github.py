"""GitHub's REST API: how it is asked, pull requests, and the comments on them.

Who calls is asked of GraphQL, the one door that answers a job's token: `GET /user` refuses it.
GitHub says "not now" with 403 as well as with 429, in headers (`Retry-After`, or
`x-ratelimit-remaining: 0` until `x-ratelimit-reset`) or only in words; such a request was not
carried out, so that even a POST may be sent again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from reconciler.errors import (
    ConfigurationError,
    NotFoundError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
    UnreadableError,
    WireError,
)
from reconciler.http.client import Http
from reconciler.http.response import Response, error_of, one_line
from reconciler.http.tries import RETRIED_METHODS
from reconciler.http.urls import is_loopback, named, origin, split_url

API_URL = "https://api.github.com"
PER_PAGE = 100
MOST_PAGES = 100
MOST_TRIES = 4
LONGEST_PAUSE_S = 120.0
_UNSAID_PAUSE_S = 60.0  # what GitHub asks for where it does not say how long
_REPOSITORY = re.compile(r"(?!\.{1,2}/)[\w.-]+/(?!\.{1,2}$)[\w.-]+", re.ASCII)
_PERMISSION = (
    "the token must be allowed to: add the line `{}` below `permissions:` of the job. Jobs of pull "
    "requests from forks get a token that only reads: comment on those from a workflow of "
    "`on: workflow_run`"
)
WRITE_PULLS, READ_PULLS = "pull-requests: write", "pull-requests: read"

_Kind = TypeVar("_Kind")


class Authored(Protocol):
    """Something that a user or bot wrote."""

    @property
    def author(self) -> int:
        """The id of the user or bot, 0 of one that is gone."""


_Authored = TypeVar("_Authored", bound=Authored)


@dataclass(frozen=True)
class Pull:
    """A pull request: where it is, and the merge commit, tried or made; "" where there is none.

    `base` is the branch it is to be merged into; `title` and `body` are what people read. Of the
    times, `merged_at` is "" where it is not merged.
    """

    number: int
    head: str
    merge: str
    is_open: bool
    merged_at: str
    updated_at: str
    base: str = ""
    title: str = ""
    body: str = field(default="", repr=False)
    url: str = ""

    @property
    def merged(self) -> bool:
        """Whether it was merged."""
        return bool(self.merged_at)


@dataclass(frozen=True)
class Comment:
    """A comment on a pull request; `author` is the id of a user or bot, 0 of one that is gone."""

    id: int
    author: int
    body: str = field(repr=False)
    url: str = ""


@dataclass(frozen=True)
class GitHub:
    """One repository, as the owner of a token may see it. `now` is in seconds since the epoch;
    `patience_s` is the longest wait for a rate limit."""

    http: Http
    api: str
    repository: str
    token: str = field(repr=False)
    now: Callable[[], float] = time.time
    patience_s: float = LONGEST_PAUSE_S

    def __post_init__(self) -> None:
        """Raise ConfigurationError unless API and repository are what GitHub sets them to."""
        parts = split_url(self.api)
        local = parts is not None and is_loopback(parts.hostname or "")
        if parts is None or parts.query or parts.fragment or not (parts.scheme == "https" or local):
            raise ConfigurationError(
                f"GITHUB_API_URL names {named(self.api)}; it must be an https URL, or the token "
                f"would not be safe; unset it for {API_URL}"
            )
        if not _REPOSITORY.fullmatch(self.repository):
            repository = one_line(self.repository, 100)
            raise ConfigurationError(f"GITHUB_REPOSITORY is {repository!r}; it must be OWNER/NAME")

    def authorization(self, url: str) -> str:
        """`Bearer …`; raises RefusedError for another host than that of the API."""
        if origin(url) != origin(self.api):
            raise RefusedError(f"the token of GitHub must not go to {named(url)}")
        return f"Bearer {self.token}"

    def pull(self, number: int) -> Pull:
        """A pull request; NotFoundError where there is none."""
        what = f"reading pull request {number}"
        answer = self.ask("GET", f"pulls/{number}", what, needs=READ_PULLS)
        pull = pull_of(answer.json(), answer)
        if pull.number != number:
            raise answer.unreadable(f"pull request {number}")
        return pull

    def pulls(self, query: str, what: str) -> Iterator[Pull]:
        """Every pull request of a listing, in its order; asked for page by page."""
        for entry, answer in self.pages(f"pulls?{query}", what, READ_PULLS):
            yield pull_of(entry, answer)

    def merged_as(self, commit: str) -> list[Pull]:
        """The pull requests that were merged as this commit: one, or none for a direct push."""
        what = f"looking for the pull request of commit {commit[:12]}"
        return [pull for pull in self.merged_with(commit, what) if pull.merge == commit]

    def merged_with(self, commit: str, what: str) -> list[Pull]:
        """The merged pull requests that a commit is of."""
        listed = self.pages(f"commits/{commit}/pulls?", what, READ_PULLS)
        pulls = [pull_of(entry, answer) for entry, answer in listed]
        return [pull for pull in pulls if pull.merged]

    def comments(self, number: int) -> list[Comment]:
        """Every comment on a pull request, the oldest first."""
        what = f"reading the comments on pull request {number}"
        listed = self.pages(f"issues/{number}/comments?", what, READ_PULLS)
        return [_comment(entry, answer) for entry, answer in listed]

    def pages(
        self, path: str, what: str, needs: str, member: str = ""
    ) -> Iterator[tuple[Any, Response]]:
        """Every entry of a listing, with the answer that it stands in; a page is asked for when the
        one before was used up. UnreadableError where there is no end.

        `path` ends with `?` or a query; `member` is where an answer that is an object has the list.
        """
        for page in range(1, MOST_PAGES + 1):
            paged = f"{path}{'' if path.endswith('?') else '&'}per_page={PER_PAGE}&page={page}"
            answer = self.ask("GET", paged, what, needs=needs)
            listed = (
                Object(answer.json_object(), answer).get(member, list)
                if member
                else answer.json_list()
            )
            for entry in listed:
                yield entry, answer
            if len(listed) < PER_PAGE and 'rel="next"' not in answer.headers.get("Link", ""):
                return
        raise UnreadableError(f"{what}: the list has more than {MOST_PAGES} pages")

    def create(self, number: int, body: str) -> Comment:
        """The new comment on a pull request."""
        what = f"commenting on pull request {number}"
        answer = self.ask("POST", f"issues/{number}/comments", what, {"body": body}, 201)
        return _comment(answer.json(), answer)

    def update(self, comment: Comment, body: str) -> Comment:
        """The comment with another body."""
        what = f"changing comment {comment.id}"
        answer = self.ask("PATCH", f"issues/comments/{comment.id}", what, {"body": body})
        return _comment(answer.json(), answer)

    def viewer(self) -> int:
        """The id of the user or bot whose token this is, as comments name their authors."""
        query = {"query": "query { viewer { databaseId } }"}
        what = "asking GitHub whose token this is"
        answer = self._send("POST", self.graphql, what, query, (200,), READ_PULLS)
        data = Object(answer.json_object(), answer).object("data")
        return data.object("viewer").get("databaseId", int)

    @property
    def graphql(self) -> str:
        """Beside `/api/v3` on an enterprise server, below the root on github.com."""
        return f"{self.api.rstrip('/').removesuffix('/v3')}/graphql"

    def own(self, written: Iterable[_Authored]) -> list[_Authored]:
        """Those of the texts that the owner of the token wrote; anybody can write our marks."""
        texts = list(written)
        viewer = self.viewer() if texts else 0
        return [text for text in texts if text.author == viewer]

    def ask(
        self,
        method: str,
        path: str,
        what: str,
        json: Any = None,
        *status: int,
        needs: str = WRITE_PULLS,
    ) -> Response:
        """The answer below the repository, of one of these statuses, else 200.

        `needs` is the permission that a job must have for it.
        """
        url = f"{self.api.rstrip('/')}/repos/{self.repository}/{path}"
        return self._send(method, url, what, json, status or (200,), needs)

    def _send(
        self, method: str, url: str, what: str, json: Any, status: tuple[int, ...], needs: str
    ) -> Response:
        """The answer; "not now" is waited for, a little while, and every other one explained."""
        tries = MOST_TRIES
        while True:
            answer = self.http.request(
                method,
                url,
                credential=self,
                json=json,
                headers={
                    "Accept": "application/vnd.github+json",
                    "X-GitHub-Api-Version": "2022-11-28",
                },
                expect=(*status, 401, 403, 404, 429),
                what=what,
            )
            if answer.status in status:
                return answer
            tries -= 1
            wait_s = _wait_s(answer, self.now())
            tried = answer.status == 429 and method in RETRIED_METHODS  # by the client itself
            if wait_s is None or wait_s > self.patience_s or tried or not tries:
                raise _explained(answer, wait_s, needs)
            self.http.pause(wait_s)


def _wait_s(answer: Response, now: float) -> float | None:
    """How many seconds GitHub asks to wait; None for an answer that means something else."""
    if answer.status not in (403, 429):
        return None
    after_s = _whole(answer.headers, "Retry-After")
    if after_s is not None:
        return float(after_s)
    until = _whole(answer.headers, "x-ratelimit-reset")
    if answer.headers.get("x-ratelimit-remaining") == "0" and until is not None:
        return max(until - now, 1.0)
    return _UNSAID_PAUSE_S if answer.status == 429 or b"rate limit" in answer.body else None


def _whole(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else None


def _explained(answer: Response, wait_s: float | None, needs: str) -> WireError:
    """The error in GitHub's words, with what helps."""
    error = error_of(answer)
    if wait_s is not None:
        fix = f"GitHub's rate limit was reached; run this again in {wait_s:.0f} seconds"
        return UnavailableError(f"{error.message}; {fix}", status=answer.status)
    if answer.status == 401:
        fix = "GITHUB_TOKEN is not valid for this GitHub, or has expired"
        return UnauthorizedError(f"{error.message}; {fix}", status=answer.status)
    if answer.status == 403 and b"not permitted to create" in answer.body:
        fix = (
            "let Actions create pull requests: in the settings of the repository, below Actions, "
            "General, Workflow permissions; or use the token of an app"
        )
        return UnauthorizedError(f"{error.message}; {fix}", status=answer.status)
    if answer.status == 403 and b"locked" not in answer.body:
        fix = _PERMISSION.format(needs)
        return UnauthorizedError(f"{error.message}; {fix}", status=answer.status)
    if answer.status == 404:
        fix = "the number or GITHUB_REPOSITORY is wrong, or the token may not see it"
        return NotFoundError(f"{error.message}; {fix}", status=answer.status)
    return error


def pull_of(value: object, answer: Response) -> Pull:
    """A pull request as GitHub shows it alone, or in a list."""
    entry = Object(value, answer)
    return Pull(
        number=entry.get("number", int),
        head=entry.object("head").get("sha", str),
        merge=entry.maybe("merge_commit_sha", str, ""),
        is_open=entry.get("state", str) == "open",
        merged_at=entry.maybe("merged_at", str, ""),
        updated_at=entry.maybe("updated_at", str, ""),
        base=entry.object("base").get("ref", str),
        title=entry.maybe("title", str, ""),
        body=entry.maybe("body", str, ""),
        url=entry.maybe("html_url", str, ""),
    )


class Object:
    """A JSON object of an answer; what is not as documented is an UnreadableError."""

    def __init__(self, value: object, answer: Response) -> None:
        if not isinstance(value, dict):
            raise answer.unreadable("a JSON object")
        self._value: dict[str, Any] = value
        self._said = answer

    def get(self, name: str, kind: type[_Kind]) -> _Kind:
        """The member of exactly this type."""
        value = self._value.get(name)
        if type(value) is not kind:
            raise self._said.unreadable(f"{name} in a JSON object")
        return value

    def maybe(self, name: str, kind: type[_Kind], otherwise: _Kind) -> _Kind:
        """The member of this type, or something else for null or none."""
        return otherwise if self._value.get(name) is None else self.get(name, kind)

    def object(self, name: str) -> Object:
        """The object at this member."""
        return Object(self._value.get(name), self._said)


def _comment(value: object, answer: Response) -> Comment:
    entry = Object(value, answer)
    author = entry.object("user").get("id", int) if entry.maybe("user", dict, {}) else 0
    return Comment(
        entry.get("id", int), author, entry.maybe("body", str, ""), entry.get("html_url", str)
    )
