"""Where Azure keeps blobs, which hosts may get a signed URL, and how its services name headers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from reconciler.http.asking import Dialect
from reconciler.http.origins import Origins
from reconciler.http.urls import origin

AZURE = Dialect(
    asked_as="x-ms-client-request-id",
    echo="x-ms-return-client-request-id",
    request_id="x-ms-request-id",
    error_code="x-ms-error-code",
)
_HOSTS = re.compile(r"[a-z0-9]{3,24}\.blob\.core\.windows\.net")


@dataclass(frozen=True)
class BlobHosts:
    """The storage accounts of a cloud; `emulator` is the emulator's base URL, "" on Azure.

    `endpoint` is the URL of one account that is elsewhere: Azurite, or a private endpoint.
    """

    emulator: str = ""
    endpoint: str = ""

    def of(self, account: str) -> str:
        """The base URL of a storage account, with its trailing slash as in `BaseLocation`."""
        if self.endpoint:
            return f"{self.endpoint}/"
        if self.emulator:
            return f"{self.emulator}/blob/{account}/"
        return f"https://{account}.blob.core.windows.net/"

    def parts(self, url: str) -> tuple[str, str]:
        """The base URL of the account of a blob, and its decoded `container/blob`."""
        parts = urlsplit(url)
        before = 3 if self.emulator else 1  # slashes: the emulator has the account in its path
        path = parts.path.split("/", before)
        return f"{parts.scheme}://{parts.netloc}{'/'.join(path[:-1])}/", unquote(path[-1])

    @property
    def origins(self) -> Origins:
        """Who may hear a SAS."""
        signature = "a signature for blob storage"
        if self.emulator:
            return Origins(signature, frozenset(filter(None, [origin(self.emulator)])))
        return Origins(signature, hosts=_HOSTS)
