"""A few words for each way a request can break, in place of the foreign exception's own.

urllib3 prints the whole URL, and with it the SAS; http.client even prints a header's value when
it is malformed. So their text is never shown: the kind of the exception says enough.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http.client import HTTPException, RemoteDisconnected
from socket import gaierror


def foreign_errors() -> tuple[type[Exception], ...]:
    """All that urllib3 and below may raise; ValueError covers URLs and header values."""
    import urllib3

    return urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError


class Unexpected(HTTPException):
    """An answer that is not as HTTP or the request has it; its text is ours and may be shown."""

    def __init__(self, why: str, *, again: bool = True) -> None:
        super().__init__(why)
        self.again = again  # trying again may help


def phrase_of(exc: BaseException) -> tuple[str, bool]:
    """The cause in a few words without any secret, and whether trying again may help."""
    import urllib3

    causes = list(causes_of(exc))
    if (ours := next((c for c in causes if isinstance(c, Unexpected)), None)) is not None:
        return str(ours), ours.again
    if (tls := next((c for c in causes if isinstance(c, ssl.SSLError)), None)) is not None:
        # OpenSSL's own reason names certificates and host names, never a URL.
        reason = getattr(tls, "verify_message", "") or tls.reason or "handshake"
        return f"TLS failed: {reason}", False
    if _any(causes, urllib3.exceptions.ProxyError):
        return "the proxy did not connect; see HTTPS_PROXY", True
    if _any(causes, gaierror, urllib3.exceptions.NameResolutionError):
        return "the host name does not resolve", True
    if _any(causes, ConnectionRefusedError):
        return "connection refused", True
    if _any(causes, urllib3.exceptions.ConnectTimeoutError):
        return "no connection in time", True
    if _any(causes, urllib3.exceptions.ReadTimeoutError, TimeoutError):
        return "no answer in time", True
    if _any(causes, ConnectionError, RemoteDisconnected):
        return "the connection was closed before the answer came", True
    if _any(causes, urllib3.exceptions.ProtocolError, HTTPException):
        return "the answer broke off or is not HTTP", True
    if _any(causes, urllib3.exceptions.NewConnectionError):
        return "the connection failed", True
    return f"the request failed ({type(exc).__name__})", False


def never_sent(exc: BaseException) -> bool:
    """Whether no connection was made, so that the service cannot have heard of the request."""
    import urllib3

    unmade = urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError
    return _any(list(causes_of(exc)), ConnectionRefusedError, gaierror, *unmade)


def was_refused(exc: BaseException) -> bool:
    """Whether nothing listens there."""
    return _any(list(causes_of(exc)), ConnectionRefusedError)


def _any(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def causes_of(exc: BaseException) -> Iterator[BaseException]:
    """The exception and everything below it: libraries hide causes in args too, urllib3 in
    `reason`, azure-core in `inner_exception`.
    """
    seen: set[int] = set()
    waiting = [exc]
    while waiting:
        cause = waiting.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        hidden = (getattr(cause, name, None) for name in ("reason", "inner_exception"))
        below = (cause.__cause__, cause.__context__, *hidden, *cause.args)
        waiting += [b for b in below if isinstance(b, BaseException)]
