"""Who may do what in Blob storage: shared access signatures, shared keys and leases.

The strings to sign are Microsoft's, by the `sv` of the token ("Create a service SAS", "Create an
account SAS", "Authorize with Shared Key"). The official azure-storage-blob client is the second
opinion in the tests. Not checked: `sip`, since requests come without an address, and the age of
x-ms-date, since the clock of the emulator is not that of its clients.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, inf
from urllib.parse import parse_qsl, quote

from reconciler.emulator.blob_xml import BlobError
from reconciler.emulator.messages import Request, Response

SIGNED_VERSION = "2021-12-02"
_HEADERS = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type"),
    *("date", "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)
# What a SAS may say about the headers of the answer, in the order in which it is signed.
OVERRIDES = {
    "rscc": "Cache-Control",
    "rscd": "Content-Disposition",
    "rsce": "Content-Encoding",
    "rscl": "Content-Language",
    "rsct": "Content-Type",
}


def signature(key: bytes, text: str) -> str:
    """The base64 HMAC-SHA256 of a string to sign."""
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


# --- shared access signatures -------------------------------------------------------------------


@dataclass(frozen=True)
class Need:
    """The need of an operation for a SAS: one of the permissions at a level.

    The level is that of an account SAS: "s"ervice, "c"ontainer or "o"bject. An operation that is
    not `delegable` can only be allowed by an account SAS or a key.
    """

    permissions: str
    level: str = "o"
    delegable: bool = True


def need(request: Request, container: str, name: str, exists: bool) -> Need:
    """The need of a request for a SAS, by Microsoft's table ("Create an account SAS").

    "c" puts a whole blob that is not there yet, and nothing else; blocks and their list take "w".
    """
    level = "o" if name else "c" if container else "s"
    comp = request.parameters.get("comp", "")
    if comp == "list":
        return Need("l", level, delegable=level == "c")
    return Need(_permissions(request, comp, exists), level, delegable=level == "o")


def _permissions(request: Request, comp: str, exists: bool) -> str:
    if request.method in ("GET", "HEAD"):
        return "r"
    if request.method == "DELETE":
        return "d"
    if comp == "lease":
        return "wd" if request.headers.get("x-ms-lease-action", "").lower() == "break" else "w"
    return "cw" if comp == "" and not exists else "w"


def parse_sas(query: str) -> dict[str, str]:
    """The members of a SAS, with or without its leading question mark."""
    return dict(parse_qsl(query.lstrip("?"), keep_blank_values=True))


def sas_refusal(
    key: bytes,
    sas: Mapping[str, str],
    place: tuple[str, str, str],
    wanted: Need,
    now: float,
    scheme: str = "https",
) -> str:
    """Why a SAS does not allow what is wanted, as an error code; "" when it does."""
    if not (_signed(key, sas, place) and _in_time(sas, now)):
        return "AuthenticationFailed"
    if sas.get("spr") == "https" and scheme != "https":
        return "AuthorizationProtocolMismatch"
    if "ss" in sas and "b" not in sas["ss"]:
        return "AuthorizationServiceMismatch"
    if "ss" in sas and wanted.level not in sas.get("srt", ""):
        return "AuthorizationResourceTypeMismatch"
    if "ss" not in sas and not wanted.delegable:
        return "AuthorizationPermissionMismatch"
    allowed = set(wanted.permissions) & set(sas.get("sp", ""))
    return "" if allowed else "AuthorizationPermissionMismatch"


def _signed(key: bytes, sas: Mapping[str, str], place: tuple[str, str, str]) -> bool:
    version = sas.get("sv", "")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", version) or version < "2012-02-12":
        return False
    if "ss" in sas:
        text = account_sas_string(sas, place[0])
    elif "skoid" in sas and sas.get("sr") == "b" and version >= "2020-12-06":
        key, text = base64.b64decode(delegated(key, sas)), delegation_sas_string(sas, *place)
    elif sas.get("sr") in ("b", "c"):
        text = sas_string(sas, *place)
    else:
        return False
    return hmac.compare_digest(signature(key, text).encode(), sas.get("sig", "").encode())


def sas_string(sas: Mapping[str, str], account: str, container: str, blob: str) -> str:
    """The string to sign of a service SAS; its lines came with the versions of the service."""
    version = sas.get("sv", "")
    place = f"/{account}/{container}" + (f"/{blob}" if sas.get("sr") == "b" else "")
    if version >= "2015-02-21":
        place = "/blob" + place
    lines = [sas.get("sp", ""), sas.get("st", ""), sas.get("se", ""), place, sas.get("si", "")]
    if version >= "2015-04-05":
        lines += [sas.get("sip", ""), sas.get("spr", "")]
    lines.append(version)
    if version >= "2018-11-09":
        lines += [sas.get("sr", ""), ""]  # the second one is for the time of a snapshot
    if version >= "2020-12-06":
        lines.append(sas.get("ses", ""))
    if version >= "2013-08-15":
        lines += [sas.get(name, "") for name in OVERRIDES]
    return "\n".join(lines)


DELEGATED = ("skoid", "sktid", "skt", "ske", "sks", "skv")


def delegated(key: bytes, sas: Mapping[str, str]) -> str:
    """The user delegation key, in base64, that belongs to such members of a SAS.

    It follows from the key of the account, so that none is kept and each is known again.
    """
    return signature(key, "\n".join(sas.get(name, "") for name in DELEGATED))


def delegation_sas_string(sas: Mapping[str, str], account: str, container: str, blob: str) -> str:
    """The string to sign of a user delegation SAS of version 2020-12-06 and later, for a blob."""
    names = ["sp", "st", "se", "", *DELEGATED, "saoid", "suoid", "scid", "sip", "spr", "sv", "sr"]
    lines = [sas.get(name, "") for name in [*names, "", "ses", *OVERRIDES]]
    lines[3] = f"/blob/{account}/{container}/{blob}"
    return "\n".join(lines)


def account_sas_string(sas: Mapping[str, str], account: str) -> str:
    """The string to sign of an account SAS; unlike the other kind it ends with a line feed."""
    names = ["sp", "ss", "srt", "st", "se", "sip", "spr", "sv"]
    if sas.get("sv", "") >= "2020-12-06":
        names.append("ses")
    return "\n".join([account, *(sas.get(name, "") for name in names), ""])


def mint(
    key: bytes, place: tuple[str, str, str], permissions: str, starts: float, ends: float
) -> str:
    """A SAS for one blob, with its leading question mark, as the service hands them out (§4.4).

    A place without the name of a blob means its container.
    """
    sas = {
        "sv": SIGNED_VERSION,
        "sr": "b" if place[2] else "c",
        "st": _stamp(starts),
        "se": _stamp(ends),
        "sp": permissions,
    }
    sas["sig"] = signature(key, sas_string(sas, *place))
    return "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in sas.items())


def _in_time(sas: Mapping[str, str], now: float) -> bool:
    """Whether the SAS has begun and has not ended; one without an end never counts."""
    try:
        begun = not sas.get("st") or _seconds(sas["st"]) <= now
        ends = min(_seconds(sas[name]) for name in ("se", "ske") if name == "se" or name in sas)
        return begun and now < ends
    except (KeyError, ValueError):
        return False


def _seconds(stamp: str) -> float:
    moment = datetime.fromisoformat(stamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# --- shared keys --------------------------------------------------------------------------------


def shared_key_fits(key: bytes, account: str, request: Request, rest: str) -> bool:
    """Whether the Authorization header is the SharedKey signature of this request.

    The official client signs the account and the whole path of the URL, with /blob/account in it;
    others leave that out. The service sorts header names by words (dashes count last), its
    documents say by letters. All of these are accepted.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    named, _, sent = given.partition(":")
    if scheme != "SharedKey" or named != account:
        return False
    texts = (
        "\n".join([*_standard_lines(request), *own, f"/{account}{path}", *_query_lines(request)])
        for own in _own_lines(request)
        for path in dict.fromkeys((request.path, rest))
    )
    return any(hmac.compare_digest(signature(key, t).encode(), sent.encode()) for t in texts)


def _standard_lines(request: Request) -> list[str]:
    headers = dict(request.headers)
    if headers.get("content-length") == "0":
        headers["content-length"] = ""
    if "x-ms-date" in headers:
        headers["date"] = ""
    return [request.method, *(headers.get(name, "") for name in _HEADERS)]


def _own_lines(request: Request) -> list[list[str]]:
    """The x-ms-* lines in each accepted order, white space folded or left."""
    ours = {name: value for name, value in request.headers.items() if name.startswith("x-ms-")}
    kept, folded = ours.items(), [(n, " ".join(v.split())) for n, v in ours.items()]
    return [
        [f"{name}:{value}" for name, value in sorted(pairs, key=lambda pair: order(pair[0]))]
        for order in (str, _by_words)
        for pairs in (kept, folded)
    ]


def _by_words(name: str) -> tuple[list[tuple[int, str]], tuple[int, ...]]:
    """A sort key: letters after digits after the rest; dashes matter between equals only."""
    ranked = [(2 if c.isalpha() else 1 if c.isdigit() else 0, c) for c in name if c != "-"]
    return ranked, tuple(-place for place, c in enumerate(name) if c == "-")


def _query_lines(request: Request) -> list[str]:
    pairs: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        pairs.setdefault(name.casefold(), []).append(value)
    return [f"{name}:{','.join(sorted(values))}" for name, values in sorted(pairs.items())]


# --- leases -------------------------------------------------------------------------------------


@dataclass
class Lease:
    """A lease on a blob or a container; its state is what the clock makes of it.

    `seconds` is -1 for one without an end. `breaks` is when a broken one is over.
    """

    id: str = ""
    seconds: int = 0
    ends: float = 0.0
    breaks: float | None = None

    def state(self, now: float) -> str:
        """available, leased, expired, breaking or broken."""
        if not self.id:
            return "available"
        if self.breaks is not None:
            return "breaking" if now < self.breaks else "broken"
        return "leased" if self.seconds < 0 or now < self.ends else "expired"

    def locked(self, now: float) -> bool:
        """Whether writing needs the id."""
        return self.state(now) in ("leased", "breaking")

    def shown(self, now: float) -> dict[str, str]:
        """Status, state and, while leased, the kind of duration."""
        state = self.state(now)
        shown = {"status": "locked" if self.locked(now) else "unlocked", "state": state}
        if state == "leased":
            shown["duration"] = "infinite" if self.seconds < 0 else "fixed"
        return shown

    def check(self, given: str, now: float, kind: str, *, needed: bool = True) -> None:
        """Nothing, or 412 when the given id does not allow an operation on a `kind`."""
        if self.locked(now):
            if given and given != self.id:
                raise BlobError(412, f"LeaseIdMismatchWith{kind}Operation")
            if needed and not given:
                raise BlobError(412, "LeaseIdMissing", "There is a lease, and no id was given.")
        elif given:
            lost = given == self.id
            raise BlobError(412, "LeaseLost" if lost else f"LeaseNotPresentWith{kind}Operation")

    def act(self, headers: Mapping[str, str], now: float) -> Response:
        """The answer to a lease operation, which changes the lease."""
        action = _required(headers, "x-ms-lease-action").lower()
        if action == "acquire":
            return self._acquire(headers, now)
        if action == "break":
            return self._break(headers, now)
        given = _required(headers, "x-ms-lease-id").lower()
        if action == "change":
            return self._change(given, _guid(_required(headers, "x-ms-proposed-lease-id")), now)
        if action not in ("renew", "release"):
            raise BlobError(400, "InvalidHeaderValue", f"{action} is no lease action.")
        if given != self.id:
            raise BlobError(409, "LeaseIdMismatchWithLeaseOperation")
        return self._renew(now) if action == "renew" else self._release()

    def _acquire(self, headers: Mapping[str, str], now: float) -> Response:
        seconds = _integer(headers, "x-ms-lease-duration")
        if seconds != -1 and not 15 <= seconds <= 60:
            raise BlobError(400, "InvalidHeaderValue", "A lease lasts 15 to 60 seconds, or -1.")
        proposed = _guid(headers.get("x-ms-proposed-lease-id", "") or str(uuid.uuid4()))
        if self.locked(now) and proposed != self.id:
            raise BlobError(409, "LeaseAlreadyPresent", "There is already a lease present.")
        if self.state(now) == "breaking":
            raise BlobError(409, "LeaseIsBreakingAndCannotBeAcquired")
        self.id, self.seconds, self.ends, self.breaks = proposed, seconds, now + seconds, None
        return Response(201, {"x-ms-lease-id": self.id})

    def _renew(self, now: float) -> Response:
        if self.breaks is not None:
            raise BlobError(409, "LeaseIsBrokenAndCannotBeRenewed")
        self.ends = now + self.seconds
        return Response(200, {"x-ms-lease-id": self.id})

    def _release(self) -> Response:
        self.id, self.breaks = "", None
        return Response(200)

    def _change(self, given: str, proposed: str, now: float) -> Response:
        if not self.locked(now):
            raise BlobError(409, "LeaseNotPresentWithLeaseOperation")
        if self.id not in (given, proposed):
            raise BlobError(409, "LeaseIdMismatchWithLeaseOperation")
        if self.breaks is not None:
            raise BlobError(409, "LeaseIsBreakingAndCannotBeChanged")
        self.id = proposed
        return Response(200, {"x-ms-lease-id": self.id})

    def _break(self, headers: Mapping[str, str], now: float) -> Response:
        """A break takes what is left of the lease, or less if asked; an endless one ends now."""
        if not self.id:
            raise BlobError(409, "LeaseNotPresentWithLeaseOperation")
        period = None
        if headers.get("x-ms-lease-break-period"):
            period = _integer(headers, "x-ms-lease-break-period")
            if not 0 <= period <= 60:
                raise BlobError(400, "InvalidHeaderValue", "A break takes 0 to 60 seconds.")
        left = self._left(now)
        takes = min(left, period) if period is not None else 0.0 if left == inf else left
        self.breaks = now + takes
        return Response(202, {"x-ms-lease-time": str(ceil(takes))})

    def _left(self, now: float) -> float:
        """The seconds until the lease ends by itself."""
        if self.breaks is None and self.seconds < 0:
            return inf
        return max(0.0, (self.ends if self.breaks is None else self.breaks) - now)


def _required(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise BlobError(400, "MissingRequiredHeader", f"The header {name} is missing.")
    return value


def _integer(headers: Mapping[str, str], name: str) -> int:
    try:
        return int(_required(headers, name))
    except ValueError as exc:
        raise BlobError(400, "InvalidHeaderValue", f"{name} is not a number.") from exc


def _guid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as exc:
        raise BlobError(400, "InvalidHeaderValue", "A lease id is a GUID.") from exc
