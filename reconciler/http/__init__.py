"""The only rooms with sockets and secrets: HTTP, credentials, blob storage, and who may hear what.

Importing any of these modules is cheap: requests, urllib3 and azure.identity are imported by
the functions that need them, so `--help` and `validate` never pay for them.
"""
