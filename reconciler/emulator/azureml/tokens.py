"""Claims of bearer tokens: for whom it is, if it is a JWT. Any other text is for all."""

from __future__ import annotations

import base64
import binascii
import json

ARM = ("https://management.azure.com", "https://management.core.windows.net")
ML = "https://ml.azure.com"


def audience(bearer: str) -> str:
    """The audience of a JWT without its last slash, "" for a token that is none."""
    parts = bearer.split(".")
    if len(parts) != 3:
        return ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return str(claims["aud"]).rstrip("/")
    except (binascii.Error, ValueError, LookupError, TypeError):
        return ""
