"""Azure Resource Manager, whatever it manages: lists, operations, and who may hear its tokens.

Facts: STUDIO_PROTOCOL.md §3.2 (`{value: [sparse], nextLink}`), §3.6 (long-running operations).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from reconciler.errors import ConfigurationError, UnreadableError
from reconciler.http.credentials import Credential, Token
from reconciler.http.origins import Origins
from reconciler.http.urls import is_loopback, named, origin, split_url
from reconciler.platforms.contract import DONE, OperationState, Progress
from reconciler.platforms.members import member, objects, text

if TYPE_CHECKING:
    from reconciler.http.client import Http

EMULATOR_VARIABLE = "RECONCILER_EMULATOR"
DEFAULT_EMULATOR_URL = "http://127.0.0.1:8400"
# Operations were recorded at westcentralus.management.azure.com.
_ARM_HOSTS = re.compile(r"(?:[a-z0-9]+\.)?management\.azure\.com")
MOST_PAGES = 1_000  # a resource group holds 800 resources of a kind
# What ends an operation. ARM writes "Canceled"; the other spelling costs nothing.
FAILED_STATES = ("failed", "canceled", "cancelled")


class CloudName(StrEnum):
    """Which cloud a connection leads to."""

    EMULATOR = "emulator"
    AZURE = "azure"


def read_list(http: Http, credential: Credential, url: str, what: str) -> list[dict[str, Any]]:
    """Every item of the list at `url`; raises WireError unless all of its pages were read.

    The credential refuses a `nextLink` that leads to another host.
    """
    values: list[dict[str, Any]] = []
    seen: set[str] = set()
    firsts: set[str] = set()
    while url:
        if url in seen:
            raise UnreadableError(
                f"{what}: page {len(seen):,} leads back to a page that was already read"
            )
        if len(seen) >= MOST_PAGES:
            raise UnreadableError(f"{what}: the list has more than {MOST_PAGES:,} pages")
        seen.add(url)
        answer = http.request("GET", url, credential=credential, what=what)
        page = answer.json_object()
        items = member(page, "value")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise answer.unreadable('a page with a list "value" of objects')
        first = text(items[0], "id") if items else ""
        if first in firsts:
            raise UnreadableError(f"{what}: page {len(seen):,} repeats an earlier page")
        firsts.update(filter(None, [first]))
        values.extend(items)
        url = text(page, "nextLink")
    return values


def operation_state(document: Mapping[str, Any]) -> Progress:
    """How far an operation is; UnreadableError where its answer does not say.

    The wire says `status` where the swagger says `provisioningState`; failures come as
    `errorInfo` (swagger) or `error` (ARM convention): both are read (§3.6 [U]).
    """
    nested = objects(document, "properties")
    state = text(document, "status") or text(document, "provisioningState")
    state = state or text(nested, "provisioningState")
    if not state:
        raise UnreadableError("the operation's answer has no status")
    if state.casefold() == "succeeded":
        return DONE
    if state.casefold() in FAILED_STATES:
        error = objects(document, "error") or objects(document, "errorInfo")
        details = member(error, "details")  # whatever it is, it must not hide the failure
        listed = details if isinstance(details, list) else []
        parts = [
            f"{text(part, 'code')}: {text(part, 'message')}".strip(": ")
            for part in (error, *(d for d in listed if isinstance(d, dict)))
        ]
        reasons = "; ".join(filter(None, parts)) or "the service gave no reason"
        return Progress(OperationState.FAILED, f"the update ended as {state}: {reasons}")
    done = member(document, "percentComplete")
    is_share = isinstance(done, int | float) and 0 <= done <= 1
    return Progress(OperationState.RUNNING, f"{state} {done:.0%}" if is_share else state)


def check_operation(url: str, origins: Origins, what: str) -> None:
    """UnreadableError where the operation of a write is not where its token may be told."""
    if url not in origins:
        raise UnreadableError(
            f"{what}, but its operation is said to be at {named(url)}, which must not get a token "
            "of Azure Resource Manager; plan again: the resource itself shows how it ended"
        )


# --- whom to ask, and as whom -------------------------------------------------------------------


def hearing(secret: str, emulator: str, hosts: re.Pattern[str] | None) -> Origins:
    """Who may hear a secret: these hosts, or the emulator alone where its base URL is given."""
    if emulator:
        return Origins(secret, frozenset(filter(None, [origin(emulator)])))
    return Origins(secret, hosts=hosts)


def arm_origins(emulator: str) -> Origins:
    """Who may hear a token of Azure Resource Manager."""
    return hearing("a token of Azure Resource Manager", emulator, _ARM_HOSTS)


def emulator_base(url: str) -> str:
    """The base URL of the emulator, "" for its default; ConfigurationError: not on this machine."""
    url = url or DEFAULT_EMULATOR_URL
    parts = split_url(url)
    if parts is None or not is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            f"the emulator's URL must be http(s)://127.0.0.1:PORT, not {named(url)};"
            " set RECONCILER_EMULATOR to what `reconciler emulator` printed, or unset it"
        )
    if parts.path.strip("/") or parts.query:  # "#" and the id of a world may follow
        raise ConfigurationError(
            f"the emulator's URL must end after the port: {parts.scheme}://{parts.netloc}"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


class EmulatorSignIn:
    """The way to sign in to the emulator, which takes any token: its word is no secret."""

    def __repr__(self) -> str:
        """Where it signs in."""
        return "EmulatorSignIn()"

    def check(self) -> None:
        """Nothing can be missing."""

    def token(self, scope: str) -> Token:  # noqa: ARG002
        """The word, for a day."""
        return Token("emulator", int(time.time()) + 24 * 3600)
