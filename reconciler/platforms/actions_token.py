"""The ID tokens that GitHub gives to a job: the means to sign in without any stored secret.

Each lives for minutes, so a fresh one is asked for whenever an access token is renewed
(STUDIO_PROTOCOL.md §7.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from reconciler.errors import RefusedError, UnreadableError, remember_secret
from reconciler.http.response import one_line
from reconciler.http.urls import named, origin

if TYPE_CHECKING:
    from reconciler.http.client import Http

ID_TOKEN_URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
ID_TOKEN_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
AUDIENCE = "api://AzureADTokenExchange"  # what Entra ID expects
MAX_ANSWER_BYTES = 64 * 1024
_ACTIONS_SUFFIX = ".actions.githubusercontent.com"
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class GitHubIdToken:
    """A fresh ID token of this job whenever it is called, and the credential to ask for it."""

    http: Http
    url: str
    request_token: str = field(repr=False)
    server_url: str

    def __call__(self) -> str:
        """The ID token; raises WireError, or RefusedError when the URL is not GitHub's."""
        more = urlencode({"audience": AUDIENCE})
        answer = self.http.request(
            "GET",
            f"{self.url}{'&' if '?' in self.url else '?'}{more}",
            credential=self,
            what="asking GitHub for an ID token",
            max_bytes=MAX_ANSWER_BYTES,
        )
        value = answer.json_object().get("value")
        if not isinstance(value, str) or not _JWT.fullmatch(value):
            raise UnreadableError(
                f"{answer.what}: {answer.place}: the answer holds no ID token", status=answer.status
            )
        remember_secret(value)
        return value

    def authorization(self, url: str) -> str:
        """`Bearer …`; raises RefusedError for a host that is not GitHub's."""
        if not is_actions_host(url, self.server_url):
            raise RefusedError(
                f"{ID_TOKEN_URL} names {named(url)}, which is not GitHub's: the token of"
                " this job must not go there; find the step that sets it"
            )
        return f"Bearer {self.request_token}"


def is_actions_host(url: str, server_url: str) -> bool:
    """Whether GitHub's own services answer at this URL, so that a job's token may go there.

    `server_url` is GITHUB_SERVER_URL, which no step of a job can change: an enterprise server
    has these services under its own name.
    """
    scheme, host, port = origin(url) or ("", "", 0)
    if scheme == "https" and host.endswith(_ACTIONS_SUFFIX) and port == 443:
        return True
    server = origin(server_url)
    if server is None or (scheme, port) != ("https", server[2]) or server[0] != "https":
        return False
    return host == server[1] or host.endswith(f".{server[1]}")


def missing_id_token(environ: Mapping[str, str]) -> str:
    """Why there is no ID token and which line is missing where; both variables are set or none."""
    unset = f"{ID_TOKEN_URL} and {ID_TOKEN_TOKEN} are not set"
    if environ.get("GITHUB_ACTIONS") != "true":
        return f"{unset}: this is not a job of GitHub Actions; use --auth azure-cli here"
    # octo/repo/.github/workflows/plan.yml@refs/heads/main
    path = environ.get("GITHUB_WORKFLOW_REF", "").partition("@")[0].partition("/.github/")[2]
    where = one_line(f".github/{path}", 200) if path else "the workflow"
    job = one_line(environ.get("GITHUB_JOB", ""), 100)
    whose = f"job {job}" if job else "this job"
    return (
        f"{unset}: this job may not ask for an ID token; add the line"
        f" `id-token: write` below `permissions:` of {whose} in {where}, and keep"
        " `contents: read` there. GitHub gives none to pull requests of forks:"
        " plan those with --live"
    )
