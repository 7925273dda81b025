"""A stand-in of the few calls of GitHub's API that are used, on 127.0.0.1.

It keeps a repository, answers as GitHub does (statuses, words, paging, who may do what), and
remembers every request. A further call is a method that stands in `_ROUTES`. Before it answers by
itself it gives what a test put into `instead`.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.ci.gits import git

MOST_CHARACTERS = 65_536  # of the body of a comment
REPOSITORY = "octo/endpoints"


@dataclass(frozen=True)
class User:
    """Who a token belongs to, and what it may do: `{"pull-requests": "write"}`."""

    id: int
    login: str
    may: dict[str, str]


@dataclass(frozen=True)
class Asked:
    """One request; `query` and `body` are parsed. `user` is whose token it brought."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    user: User

    def __str__(self) -> str:
        """`GET /repos/octo/endpoints/pulls/1`."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Artifact:
    """What a run uploaded: a zip file."""

    id: int
    name: str
    content: bytes
    run: int
    commit: str
    branch: str = "main"
    fork: bool = False
    expired: bool = False
    size: int | None = None  # what is said of it, where that is not the truth

    @property
    def shown(self) -> dict[str, Any]:
        """As GitHub lists it; a repository is a number there."""
        run = {"id": self.run, "head_sha": self.commit, "repository_id": 1}
        run |= {"head_branch": self.branch}
        return {
            "id": self.id,
            "name": self.name,
            "size_in_bytes": len(self.content) if self.size is None else self.size,
            "expired": self.expired,
            "workflow_run": {**run, "head_repository_id": 2 if self.fork else 1},
        }


@dataclass(frozen=True)
class Answer:
    """What comes back; the body is JSON unless it is text or bytes."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


NOBODY = User(0, "", {})
BOT = User(41898282, "github-actions[bot]", {"pull-requests": "write"})
PERSON = User(7, "mona", {"pull-requests": "write"})


def turned_away(status: int, message: str, **headers: str) -> Answer:
    """What GitHub says when it does not do what it is asked."""
    said = {"message": message, "documentation_url": "https://docs.github.com/rest"}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {**said, "status": str(status)}, names)


class StandIn:
    """A repository at GitHub, and every request that was made of it.

    `tokens` says whose they are. `instead` holds answers for the next requests, in their order;
    None lets one be answered as it would be.
    """

    def __init__(self) -> None:
        self.url = ""
        self.tokens: dict[str, User] = {}
        self.pulls: dict[int, dict[str, Any]] = {}
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.reviews: dict[int, list[dict[str, Any]]] = {}
        self.approvals: list[dict[str, Any]] = []  # of every run, by reviewers of its environment
        self.artifacts: list[Artifact] = []
        self.issues: dict[int, dict[str, Any]] = {}
        self.refuses_pulls: Answer | None = None  # what a new pull request is answered
        self.repository: Path | None = None  # a bare one, where branches and files are
        self.instead: list[Answer | None] = []
        self.asked: list[Asked] = []
        self._ids = iter(range(1001, 10**9))
        self._lock = threading.Lock()

    # --- what a test prepares, and looks at --------------------------------------------------

    def open_pull(
        self, number: int, head: str, merge: str | None = None, label: str = "octo:change"
    ) -> None:
        """Open a pull request; `merge` is the commit that GitHub tries the merge with."""
        self.pulls[number] = {
            "number": number,
            "state": "open",
            "merged": False,
            "merged_at": None,
            "updated_at": "2026-11-25T11:00:00Z",
            "merge_commit_sha": merge,
            "head": {"sha": head, "label": label},
            "base": {"ref": "main"},
        }
        self.comments[number] = []

    def close_pull(
        self, number: int, merge: str | None = None, at: str = "2026-11-25T12:00:00Z"
    ) -> None:
        """Close it, merged as this commit or not at all."""
        self.pulls[number] |= {
            "state": "closed",
            "merged": merge is not None,
            "merged_at": at if merge else None,
            "updated_at": at,
            "merge_commit_sha": merge,
        }

    def write_comment(self, number: int, user: User, body: str) -> dict[str, Any]:
        """The new comment of somebody."""
        made = {
            "id": (ident := next(self._ids)),
            "html_url": f"https://github.com/{REPOSITORY}/pull/{number}#issuecomment-{ident}",
            "user": {"id": user.id, "login": user.login},
            "body": body,
        }
        self.comments[number].append(made)
        return made

    def review(self, number: int, login: str | None, state: str, commit: str = "") -> None:
        """Review a pull request, at its head or another commit; None: an account that is gone."""
        user, head = login and {"id": 9, "login": login}, self.pulls[number]["head"]["sha"]
        review = {"user": user, "state": state, "commit_id": commit or head}
        self.reviews.setdefault(number, []).append(review)

    def answer_run(self, login: str, state: str, *environments: str) -> None:
        """Let every run go on to protected environments, or not: `approved` or `rejected`."""
        user, named = {"id": 9, "login": login}, [{"id": 1, "name": each} for each in environments]
        self.approvals.append({"state": state, "comment": "", "user": user, "environments": named})

    def keep_artifact(self, name: str, content: bytes, **more: Any) -> Artifact:
        """Keep what a run uploaded."""
        made = Artifact(next(self._ids), name, content, **more)
        self.artifacts.append(made)
        return made

    @property
    def writes(self) -> list[str]:
        """The requests that changed something, or would have."""
        return [str(one) for one in self.asked if one.method != "GET" and one.path != "/graphql"]

    # --- answers -----------------------------------------------------------------------------

    def answer(self, asked: Asked) -> Answer:
        """What GitHub says to a request."""
        with self._lock:
            self.asked.append(asked)
            scripted = self.instead.pop(0) if self.instead else None
            return scripted or self._answer(asked)

    def _answer(self, asked: Asked) -> Answer:
        if match := re.fullmatch(r"/storage/(\d+)", asked.path):
            return self._stored(asked, int(match[1]))
        if asked.user is NOBODY:
            return turned_away(401, "Bad credentials")
        for method, path, permission, reply in _ROUTES:
            match = re.fullmatch(path, asked.path.removeprefix(f"/repos/{REPOSITORY}"))
            if match and method == asked.method:
                if match.groups() and match[1].isdigit() and int(match[1]) in self.issues:
                    permission = permission and ("issues", permission[1])
                if not _is_allowed(asked.user, permission):
                    return turned_away(403, "Resource not accessible by integration")
                return reply(self, asked, *(int(g) if g.isdigit() else g for g in match.groups()))
        return turned_away(404, "Not Found")

    def _viewer(self, asked: Asked) -> Answer:
        assert asked.body == {"query": "query { viewer { databaseId } }"}
        return Answer(200, {"data": {"viewer": {"databaseId": asked.user.id}}})

    def _pull(self, asked: Asked, number: int) -> Answer:
        return Answer(200, found) if (found := self.pulls.get(number)) else _NOT_FOUND

    def _list_pulls(self, asked: Asked) -> Answer:
        """Without `merged`, which only a single one has."""
        query = asked.query
        found = [
            {name: value for name, value in pull.items() if name != "merged"}
            for pull in self.pulls.values()
            if query["state"] in (pull["state"], "all")
            and query.get("base", pull["base"]["ref"]) == pull["base"]["ref"]
            and query.get("head", pull["head"]["label"]) == pull["head"]["label"]
        ]
        if query.get("sort") == "updated":
            found.sort(key=lambda pull: str(pull["updated_at"]))
        return Answer(200, _page(asked, found[::-1]))

    def _pulls_of_commit(self, asked: Asked, commit: str) -> Answer:
        named = [
            p for p in self.pulls.values() if commit in (p["merge_commit_sha"], p["head"]["sha"])
        ]
        return Answer(200, _page(asked, named))

    def _reviews(self, asked: Asked, number: int) -> Answer:
        return Answer(200, _page(asked, self.reviews.get(number, [])))

    def _approvals(self, asked: Asked, run: int) -> Answer:
        return Answer(200, self.approvals)

    def _list_artifacts(self, asked: Asked) -> Answer:
        found = [one.shown for one in self.artifacts if one.name == asked.query["name"]]
        return Answer(200, {"total_count": len(found), "artifacts": _page(asked, found[::-1])})

    def _artifacts_of_run(self, asked: Asked, run: int) -> Answer:
        name = asked.query.get("name")
        found = [a.shown for a in self.artifacts if a.run == run and name in (a.name, None)]
        return Answer(200, {"total_count": len(found), "artifacts": _page(asked, found)})

    def _list_runs(self, asked: Asked) -> Answer:
        """Those that left an artifact, and at each commit one that left none."""
        commit = asked.query["head_sha"]
        runs = sorted({one.run for one in self.artifacts if one.commit == commit} | {1})
        found = [{"id": run, "head_sha": commit} for run in runs[::-1]]
        return Answer(200, {"total_count": len(found), "workflow_runs": _page(asked, found)})

    def _artifact(self, asked: Asked, ident: int) -> Answer:
        """GitHub sends people to a storage account, by a URL that is a secret."""
        return Answer(302, "", {"Location": f"{self.url}/storage/{ident}?sig=storage-canary"})

    def _stored(self, asked: Asked, ident: int) -> Answer:
        if "Authorization" in asked.headers:
            return turned_away(400, "a token of GitHub was sent to a storage account")
        return Answer(200, next(one.content for one in self.artifacts if one.id == ident))

    def _list_issues(self, asked: Asked) -> Answer:
        """Pull requests are issues too, but ours have no labels."""
        found = [
            one
            for one in self.issues.values()
            if one["state"] == asked.query["state"] and asked.query["labels"] in one["labels"]
        ]
        return Answer(200, _page(asked, found))

    def _create_issue(self, asked: Asked) -> Answer:
        number = 500 + len(self.issues)
        self.comments[number] = []
        self.issues[number] = {
            **{"number": number, "state": "open", "labels": asked.body["labels"]},
            "html_url": f"https://github.com/{REPOSITORY}/issues/{number}",
            "user": {"id": asked.user.id, "login": asked.user.login},
            **{"title": asked.body["title"], "body": asked.body["body"]},
        }
        return Answer(201, self.issues[number])

    def _update_issue(self, asked: Asked, number: int) -> Answer:
        self.issues[number] |= asked.body
        return Answer(200, self.issues[number])

    def _create_pull(self, asked: Asked) -> Answer:
        """GitHub refuses a second one for the same branches, and one without commits."""
        if self.refuses_pulls:
            return self.refuses_pulls
        said, head = asked.body, f"octo:{asked.body['head']}"
        if any(p["head"]["label"] == head and p["state"] == "open" for p in self.pulls.values()):
            return turned_away(422, f"Validation Failed: A pull request already exists for {head}.")
        number = max(self.pulls, default=0) + 1
        self.open_pull(number, self._git("rev-parse", said["head"]), label=head)
        url = f"https://github.com/{REPOSITORY}/pull/{number}"
        self.pulls[number] |= {"html_url": url, "title": said["title"], "body": said["body"]}
        self.pulls[number]["base"]["ref"] = said["base"]
        return Answer(201, self.pulls[number])

    def _update_pull(self, asked: Asked, number: int) -> Answer:
        self.pulls[number] |= asked.body
        return Answer(200, self.pulls[number])

    # --- files, commits and branches --------------------------------------------------------------

    def _git(self, *arguments: str, **more: str) -> str:
        assert self.repository is not None
        return git(self.repository, *arguments, **more)

    def _content(self, asked: Asked, path: str) -> Answer:
        listed = self._git("ls-tree", asked.query["ref"], "--", path)
        if not listed:
            return _NOT_FOUND
        text = self._git("show", f"{asked.query['ref']}:{path}") + "\n"
        content = base64.encodebytes(text.encode()).decode()
        return Answer(200, {"type": "file", "encoding": "base64", "content": content})

    def _ref(self, asked: Asked, branch: str) -> Answer:
        found = self._git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        if not found:
            return _NOT_FOUND
        return Answer(200, {"ref": f"refs/heads/{branch}", "object": {"sha": found}})

    def _commit(self, asked: Asked, commit: str) -> Answer:
        tree, message = self._git("show", "-s", "--format=%T%n%B", commit).split("\n", 1)
        return Answer(200, {"sha": commit, "tree": {"sha": tree}, "message": message})

    def _create_tree(self, asked: Asked) -> Answer:
        assert self.repository is not None
        index = {"GIT_INDEX_FILE": str(self.repository / "index.of.a.tree")}
        self._git("read-tree", asked.body["base_tree"], **index)
        for entry in asked.body["tree"]:
            blob = self._git("hash-object", "-w", "--stdin", given=entry["content"])
            said = f"{entry['mode']},{blob},{entry['path']}"
            self._git("update-index", "--add", "--cacheinfo", said, **index)
        return Answer(201, {"sha": self._git("write-tree", **index)})

    def _create_commit(self, asked: Asked) -> Answer:
        said = asked.body
        parents = [part for parent in said["parents"] for part in ("-p", parent)]
        made = self._git("commit-tree", said["tree"], *parents, given=said["message"])
        return Answer(201, {"sha": made})

    def _create_ref(self, asked: Asked) -> Answer:
        self._git("update-ref", asked.body["ref"], asked.body["sha"])
        return Answer(201, {"ref": asked.body["ref"], "object": {"sha": asked.body["sha"]}})

    def _update_ref(self, asked: Asked, branch: str) -> Answer:
        """A branch is moved off its history only by force; its pull request follows."""
        assert asked.body["force"] is True
        sha = asked.body["sha"]
        self._git("update-ref", f"refs/heads/{branch}", sha)
        for pull in self.pulls.values():
            if pull["head"]["label"] == f"octo:{branch}" and pull["state"] == "open":
                pull["head"]["sha"] = sha
        return Answer(200, {"ref": f"refs/heads/{branch}", "object": {"sha": sha}})

    def _list_comments(self, asked: Asked, number: int) -> Answer:
        if number not in self.comments:
            return _NOT_FOUND
        return Answer(200, _page(asked, self.comments[number]))

    def _create_comment(self, asked: Asked, number: int) -> Answer:
        if number not in self.comments:
            return _NOT_FOUND
        if len(asked.body["body"]) > MOST_CHARACTERS:
            return _TOO_LONG
        return Answer(201, self.write_comment(number, asked.user, asked.body["body"]))

    def _update_comment(self, asked: Asked, ident: int) -> Answer:
        """GitHub lets a token that may write change the comments of others too."""
        if len(asked.body["body"]) > MOST_CHARACTERS:
            return _TOO_LONG
        for comment in (each for listed in self.comments.values() for each in listed):
            if comment["id"] == ident:
                comment["body"] = asked.body["body"]
                return Answer(200, comment)
        return _NOT_FOUND


def _page(asked: Asked, found: list[Any]) -> list[Any]:
    """The part of a listing that was asked for."""
    size = min(int(asked.query.get("per_page", "30")), 100)
    first = size * (int(asked.query.get("page", "1")) - 1)
    return found[first : first + size]


_NOT_FOUND = turned_away(404, "Not Found")
_TOO_LONG = turned_away(
    422, f"Validation Failed: body is too long (maximum is {MOST_CHARACTERS} characters)"
)
_READ, _WRITE = ("pull-requests", "read"), ("pull-requests", "write")
_ROUTES: list[tuple[str, str, tuple[str, str] | None, Callable[..., Answer]]] = [
    ("POST", r"/graphql", None, StandIn._viewer),
    ("GET", r"/pulls/(\d+)", _READ, StandIn._pull),
    ("GET", r"/pulls", _READ, StandIn._list_pulls),
    ("POST", r"/pulls", _WRITE, StandIn._create_pull),
    ("PATCH", r"/pulls/(\d+)", _WRITE, StandIn._update_pull),
    ("GET", r"/contents/(.+)", ("contents", "read"), StandIn._content),
    ("GET", r"/git/ref/heads/(.+)", ("contents", "read"), StandIn._ref),
    ("GET", r"/git/commits/([0-9a-f]{40})", ("contents", "read"), StandIn._commit),
    ("POST", r"/git/trees", ("contents", "write"), StandIn._create_tree),
    ("POST", r"/git/commits", ("contents", "write"), StandIn._create_commit),
    ("POST", r"/git/refs", ("contents", "write"), StandIn._create_ref),
    ("PATCH", r"/git/refs/heads/(.+)", ("contents", "write"), StandIn._update_ref),
    ("GET", r"/commits/([0-9a-f]{40})/pulls", _READ, StandIn._pulls_of_commit),
    ("GET", r"/pulls/(\d+)/reviews", _READ, StandIn._reviews),
    ("GET", r"/actions/runs/(\d+)/approvals", ("actions", "read"), StandIn._approvals),
    ("GET", r"/actions/artifacts", ("actions", "read"), StandIn._list_artifacts),
    ("GET", r"/actions/runs", ("actions", "read"), StandIn._list_runs),
    ("GET", r"/actions/runs/(\d+)/artifacts", ("actions", "read"), StandIn._artifacts_of_run),
    ("GET", r"/actions/artifacts/(\d+)/zip", ("actions", "read"), StandIn._artifact),
    ("GET", r"/issues", ("issues", "read"), StandIn._list_issues),
    ("POST", r"/issues", ("issues", "write"), StandIn._create_issue),
    ("PATCH", r"/issues/(\d+)", ("issues", "write"), StandIn._update_issue),
    ("GET", r"/issues/(\d+)/comments", _READ, StandIn._list_comments),
    ("POST", r"/issues/(\d+)/comments", _WRITE, StandIn._create_comment),
    ("PATCH", r"/issues/comments/(\d+)", _WRITE, StandIn._update_comment),
]


def _is_allowed(user: User, permission: tuple[str, str] | None) -> bool:
    if permission is None:
        return True
    scope, level = permission
    return user.may.get(scope) in {"read": ("read", "write"), "write": ("write",)}[level]


@contextmanager
def serving(stand_in: StandIn) -> Iterator[StandIn]:
    """Let it listen on a free port of 127.0.0.1, by its `url`."""
    server = _Server(("127.0.0.1", 0), _handler(stand_in))
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def reply(self) -> None:
            parts = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            asked = Asked(
                self.command,
                unquote(parts.path),
                dict(parse_qsl(parts.query)),
                dict(self.headers.items()),
                json.loads(sent) if sent else None,
                stand_in.tokens.get(token, NOBODY),
            )
            answer = stand_in.answer(asked)
            body = answer.body
            if not isinstance(body, bytes):
                body = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = reply

        def log_message(self, *args: object) -> None:
            pass

    return Handler
