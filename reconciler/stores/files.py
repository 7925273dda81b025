"""Errors of this machine's file system, as errors of ours."""

from __future__ import annotations

import errno
import os

from reconciler.errors import ReconcilerError, RejectedError, UnauthorizedError, UnavailableError

_BAD_NAME = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def file_error(what: str, exc: OSError) -> ReconcilerError:
    """The file system's error as one of ours, with its fix."""
    reason = os.strerror(exc.errno).lower() if exc.errno else str(exc)
    if exc.errno in _FULL:
        return UnavailableError(f"{what}: {reason}; free some space there and run again")
    if exc.errno == errno.EROFS:
        return UnauthorizedError(f"{what}: {reason}; mount it for writing, or use another folder")
    if isinstance(exc, PermissionError):
        return UnauthorizedError(f"{what}: {reason}; give this user access to the folder")
    if exc.errno in _BAD_NAME:
        return RejectedError(f"{what}: {reason}; use another name")
    return UnavailableError(f"{what}: {reason}")
