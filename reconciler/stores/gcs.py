"""A store in a bucket of Google Cloud Storage, by its XML API.

A write is named by the generation that it made, which is never given twice. There are no presigned
URLs here: to sign one takes a key, or a right that few machines have. Who is to read a model has an
identity of its own, and gets the place alone.

A generation is the better condition. An ETag of S3 is that of the content, so of two writers that
write equal bytes both may think that they won; a generation is drawn anew for each write, and 0
stands for "there is none". The lock still writes a new nonce each time, for it does not know which
store it is on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from reconciler.errors import (
    ConfigurationError,
    UnauthorizedError,
    UnreachableError,
    remember_secret,
)
from reconciler.http.client import Http
from reconciler.http.credentials import AccessToken, Credential, NoToken, Token
from reconciler.http.origins import Origins
from reconciler.http.response import Response
from reconciler.model import StoreUrl
from reconciler.stores import Opening
from reconciler.stores.bucket import Bucket, moment, shown_text
from reconciler.stores.contract import Access, Properties

ENDPOINT = "https://storage.googleapis.com"
HOSTS = re.compile(r"storage\.googleapis\.com")
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


class Gcs(Bucket):
    """The store below a prefix of a bucket."""

    scheme = "gs"

    def __init__(self, http: Http, at: StoreUrl, credential: Credential) -> None:
        """Nothing is asked yet."""
        bucket, _, prefix = at.url.partition("://")[2].partition("/")
        super().__init__(http, bucket, prefix.rstrip("/"))
        self._endpoint = at.endpoint.rstrip("/") or ENDPOINT
        self._credential = credential

    def _bucket_url(self) -> str:
        return f"{self._endpoint}/{self._bucket}"

    def _signed(
        self,
        method: str,  # noqa: ARG002
        url: str,
        headers: Mapping[str, str],
        body: bytes,  # noqa: ARG002
    ) -> Mapping[str, str]:
        return {**headers, "Authorization": self._credential.authorization(url)}

    def _presigned(self, url: str, access: Access, lasting_s: float) -> str:  # noqa: ARG002
        return ""

    def _condition(self, etag: str) -> dict[str, str]:
        # What is no generation, of whatever store, is nothing that this bucket ever wrote.
        generation = etag if etag.isascii() and etag.isdecimal() else "1"
        return {"x-goog-if-generation-match": generation if etag else "0"}

    def _properties(self, answer: Response, size: int) -> Properties:
        generation = answer.headers.get("x-goog-generation", "")
        if not generation.isdecimal():
            raise answer.unreadable("a generation of a bucket")
        hashes = answer.headers.get("x-goog-hash", "")
        md5 = next((h[4:] for h in re.split(r"[,\s]+", hashes) if h.startswith("md5=")), "")
        fingerprint = f"md5:{md5}" if md5 else f"etag:{generation}"
        return Properties(generation, fingerprint, size, answer.moment("Last-Modified"))

    def _shown(self, entry: Element) -> Properties | None:
        generation, size = shown_text(entry, "Generation"), shown_text(entry, "Size")
        if not generation.isdecimal() or not size.isdecimal():
            return None
        return Properties(generation, "", int(size), moment(shown_text(entry, "LastModified")))


def open_at(at: StoreUrl, key: str, opening: Opening) -> Gcs:
    """The store at `gs://bucket/prefix`; without a key, by the credentials of this machine."""
    origins = Origins("a token of Google Cloud Storage", hosts=HOSTS).also(opening.bound)
    sign_in = _SignIn(key, at.key.variable if at.key else "")
    return Gcs(opening.http, at, AccessToken(sign_in, SCOPE, origins, opening.clock))


class _SignIn:
    """Signing in to Google: by the key of a service account, or as Google's own chain finds."""

    def __init__(self, key: str, variable: str) -> None:
        self._key = key
        self._variable = variable
        self._made: Any = None

    def check(self) -> None:
        """Nothing is known beforehand."""

    def token(self, scope: str) -> Token | NoToken:
        """A token that lives now, or why there is none."""
        try:
            import google.auth
            import google.auth.exceptions
            import google.auth.transport.requests
        except ImportError:
            return NoToken(
                ConfigurationError,
                "signing in to Google is done by google-auth, which is not installed; install it: "
                "pip install 'endpoint-reconciler[gcs]'",
            )
        try:
            if self._made is None:
                self._made = self._credentials(scope)
            self._made.refresh(google.auth.transport.requests.Request())
        except google.auth.exceptions.TransportError as exc:
            return NoToken(UnreachableError, f"signing in to Google: {type(exc).__name__}")
        except (google.auth.exceptions.DefaultCredentialsError, ValueError, KeyError, TypeError):
            if self._key:  # some of what is wrong with a key google-auth calls no credentials
                return NoToken(
                    ConfigurationError,
                    f"environment variable {self._variable} is no key of a service account; write "
                    "its JSON on one line",
                )
            return NoToken(
                UnauthorizedError,
                "this machine has no credentials for Google; sign in (gcloud auth "
                "application-default login), give it a service account, or name a key: "
                "{url: …, key: env:NAME}",
            )
        except google.auth.exceptions.GoogleAuthError as exc:
            return NoToken(
                UnauthorizedError,
                f"signing in to Google was refused ({type(exc).__name__}); compare the service "
                "account with its key, which may have been deleted",
            )
        return Token(self._made.token, int(_seconds(self._made.expiry)))

    def _credentials(self, scope: str) -> Any:
        """Google's credentials by a key, or those of the machine, for one scope."""
        import google.auth
        from google.oauth2 import service_account

        if not self._key:
            return google.auth.default(scopes=[scope])[0]
        info = json.loads(self._key)
        remember_secret(info["private_key"])
        made: Any = service_account.Credentials
        return made.from_service_account_info(info, scopes=[scope])


def _seconds(expiry: Any) -> float:
    from datetime import UTC

    return float(expiry.replace(tzinfo=UTC).timestamp())
