"""A store in a bucket of Amazon S3, or of a service that speaks its protocol (MinIO, R2, Ceph).

Amazon's bucket is asked where it is: its region is in every signature, and the answer needs no
credentials. Elsewhere the environment names the endpoint, and no variable of AWS changes it.
"""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

from reconciler.errors import ConfigurationError, UnauthorizedError, remember_secret
from reconciler.http.origins import Origins
from reconciler.http.response import error_of
from reconciler.stores.bucket import Bucket, moment, shown_text
from reconciler.stores.contract import Access, Properties
from reconciler.stores.s3_sign import Keys, presigned, signed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from xml.etree.ElementTree import Element

    from reconciler.errors import ReconcilerError
    from reconciler.http.client import Http
    from reconciler.http.response import Response
    from reconciler.model import StoreUrl
    from reconciler.stores import Opening

HOSTS = re.compile(r"(?:[a-z0-9-]+\.)?s3\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")
ANYWHERE = "https://s3.amazonaws.com"  # says of every bucket where it is
DEFAULT_REGION = "us-east-1"  # what services other than Amazon's take, where they take any
_REGION_HEADER = "x-amz-bucket-region"
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}")


class S3(Bucket):
    """The store below a prefix of a bucket. `keys` answers the access key that lives now."""

    scheme = "s3"
    lists_fingerprints = True

    def __init__(
        self,
        http: Http,
        at: StoreUrl,
        keys: Callable[[], Keys],
        origins: Origins,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is asked yet."""
        bucket, _, prefix = at.url.partition("://")[2].partition("/")
        super().__init__(http, bucket, prefix.rstrip("/"))
        self._endpoint = at.endpoint.rstrip("/")
        self._region = at.region or (DEFAULT_REGION if self._endpoint else "")
        self._keys = keys
        self._origins = origins
        self._clock = clock
        self._guard = threading.Lock()

    def _bucket_url(self) -> str:
        if self._endpoint:
            return f"{self._endpoint}/{self._bucket}"
        region = self._where()
        host = f"s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
        # A certificate of Amazon's is for one label in front of the host.
        dotted = "." in self._bucket
        return f"https://{host}/{self._bucket}" if dotted else f"https://{self._bucket}.{host}"

    def _where(self) -> str:
        """The region of the bucket, asked of Amazon once and without credentials."""
        with self._guard:
            if self._region:
                return self._region
            answer = self._http.request(
                "HEAD",
                f"{ANYWHERE}/{self._bucket}",
                expect=(200, 301, 307, 400, 403, 404),
                what=f"asking where the bucket {self._bucket} is",
            )
            region = answer.headers.get(_REGION_HEADER, "")
            if _REGION.fullmatch(region):
                self._region = region
                return region
        if answer.status == 404:
            raise self._no_bucket()
        raise answer.unreadable("the region of the bucket; write it: {url: …, region: …}")

    def _elsewhere(self, answer: Response) -> ReconcilerError:
        error, there = error_of(answer), answer.headers.get(_REGION_HEADER, "")
        if _REGION.fullmatch(there) and there != self._region:
            return ConfigurationError(
                f"the bucket {self._bucket} is in the region {there}, not in {self._region}; "
                f"write region: {there} beside its url in the environment"
            )
        return error

    def _signed(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        self._origins.check(url)
        return signed(self._keys(), self._where(), method, url, headers, body, self._clock())

    def _presigned(self, url: str, access: Access, lasting_s: float) -> str:
        self._origins.check(url)
        now, method = self._clock(), "GET" if access is Access.READ else "PUT"
        grant = presigned(self._keys(), self._where(), method, url, lasting_s, now)
        remember_secret(grant.rpartition("=")[2])
        return grant

    def _condition(self, etag: str) -> dict[str, str]:
        return {"If-Match": etag} if etag else {"If-None-Match": "*"}

    def _properties(self, answer: Response, size: int) -> Properties:
        if not (etag := answer.headers.get("ETag", "")):
            raise answer.unreadable("an ETag of a bucket")
        return Properties(etag, f"etag:{etag}", size, answer.moment("Last-Modified"))

    def _shown(self, entry: Element) -> Properties | None:
        etag, size = shown_text(entry, "ETag"), shown_text(entry, "Size")
        if not etag or not size.isdecimal():
            return None
        etag = f'"{etag.strip(chr(34))}"'
        written = moment(shown_text(entry, "LastModified"))
        return Properties(etag, f"etag:{etag}", int(size), written)


def open_at(at: StoreUrl, key: str, opening: Opening) -> S3:
    """The store at `s3://bucket/prefix`; without a key, by the credentials of this machine."""
    origins = Origins("a signature for S3", hosts=HOSTS).also(opening.bound)
    keys = _written(at, key) if key else _Chain()
    return S3(opening.http, at, keys, origins, opening.clock)


def _written(at: StoreUrl, text: str) -> Callable[[], Keys]:
    """The access key that a variable holds, as `ID:SECRET`."""
    ident, _, secret = text.partition(":")
    remember_secret(secret)

    def keys() -> Keys:
        if not ident or not secret:
            variable = at.key.variable if at.key else "key"
            raise ConfigurationError(
                f"environment variable {variable} is no access key of {at.url}; write the id, a "
                "colon and the secret: ID:SECRET"
            )
        return Keys(ident, secret)

    return keys


class _Chain:
    """The access key that AWS's own chain finds: variables, profiles, SSO, web identity, roles.

    botocore renews what expires.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._found: Any = None

    def __call__(self) -> Keys:
        """The access key that lives now; UnauthorizedError where none is found."""
        try:
            import botocore.exceptions
            import botocore.session
        except ImportError as exc:
            raise ConfigurationError(
                "the credentials of this machine for S3 are looked up by botocore, which is not "
                "installed; install it: pip install 'endpoint-reconciler[s3]', or name a key: "
                "{url: …, key: env:NAME}"
            ) from exc
        with self._guard:
            try:
                if self._found is None:
                    self._found = botocore.session.get_session().get_credentials()
                credentials = self._found and self._found.get_frozen_credentials()
            except botocore.exceptions.BotoCoreError as exc:
                raise UnauthorizedError(
                    f"looking up the credentials of this machine for S3: {type(exc).__name__}; "
                    "sign in again (aws sso login), or name a key: {url: …, key: env:NAME}"
                ) from None
        if not credentials or not credentials.access_key or not credentials.secret_key:
            raise UnauthorizedError(
                "this machine has no credentials for S3; sign in (aws configure, aws sso login), "
                "give it a role, or name a key: {url: …, key: env:NAME}"
            )
        for secret in (credentials.secret_key, credentials.token or ""):
            remember_secret(secret)
        return Keys(credentials.access_key, credentials.secret_key, credentials.token or "")
