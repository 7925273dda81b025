"""The ways to sign in: the one word of the vocabulary that `--help` prints.

Apart from `model`, because making its forty frozen values takes a third of the time of a `--help`.
"""

from __future__ import annotations

from enum import StrEnum


class Auth(StrEnum):
    """How to sign in to Azure."""

    DEFAULT = "default"
    AZURE_CLI = "azure-cli"
    WORKLOAD_IDENTITY = "workload-identity"
    GITHUB_OIDC = "github-oidc"
    CLIENT_SECRET = "client-secret"
    MANAGED_IDENTITY = "managed-identity"
