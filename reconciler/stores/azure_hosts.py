"""Where Azure keeps blobs: the hosts that may get a signed URL."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.http.origins import Origins
from reconciler.http.urls import origin

_HOSTS = re.compile(r"[a-z0-9]{3,24}\.blob\.core\.windows\.net")


@dataclass(frozen=True)
class BlobHosts:
    """The storage accounts of a cloud; `emulator` is the emulator's base URL, "" on Azure."""

    emulator: str = ""

    def of(self, account: str) -> str:
        """The base URL of a storage account, with its trailing slash as in `BaseLocation`."""
        if self.emulator:
            return f"{self.emulator}/blob/{account}/"
        return f"https://{account}.blob.core.windows.net/"

    @property
    def origins(self) -> Origins:
        """Who may hear a SAS."""
        signature = "a signature for blob storage"
        if self.emulator:
            return Origins(signature, frozenset(filter(None, [origin(self.emulator)])))
        return Origins(signature, hosts=_HOSTS)
