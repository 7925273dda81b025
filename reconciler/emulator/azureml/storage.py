"""Where files of a workspace are: `azureml://` addresses, datastores, blobs behind them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from reconciler.emulator.azureml.calls import bad, envelope, found_at, page
from reconciler.emulator.messages import answer, unknown
from reconciler.emulator.world import canonical

if TYPE_CHECKING:
    from reconciler.emulator.azureml.calls import Call
    from reconciler.emulator.azureml.records import Json, Resource
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Response

DEFAULT, ARTIFACTS = "workspaceblobstore", "workspaceartifactstore"
_LONG = re.compile(
    r"azureml:(?://)?/?subscriptions/(?P<sub>[^/]+)/resourcegroups/(?P<group>[^/]+)/(?:providers/"
    r"microsoft\.machinelearningservices/)?workspaces/(?P<workspace>[^/]+)"
    r"/datastores/(?P<store>[^/]+)/paths/(?P<path>.*)",
    re.IGNORECASE,
)
_SHORT = re.compile(r"azureml://datastores/(?P<store>[^/]+)/paths/(?P<path>.*)", re.IGNORECASE)
_JOB = re.compile(
    r"(?:azureml://jobs/(?P<job>[^/]+)/outputs/(?P<output>[^/]+)(?:/paths)?|runs:/(?P<run>[^/]+))"
    r"(?:/(?P<path>.*))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Place:
    """A blob, or what lies below a path as below a folder."""

    account: str
    container: str
    path: str

    def files(self, core: Core) -> dict[str, bytes]:
        """The file at the place by its name, or the files below it by their paths there."""
        return core.blobs.below(self.account, self.container, self.path)

    def below(self, path: str) -> Place:
        """A place below this one."""
        joined = f"{self.path.rstrip('/')}/{path}" if path else self.path
        return Place(self.account, self.container, joined)


def place_of(core: Core, scope: Resource, uri: str) -> Place:
    """The place of any address of files; Refused with 400 for one that is none here."""
    match = _LONG.fullmatch(long_form(core, scope, uri))
    if match is None:
        return _blob(core, uri)
    store = found_at(
        core,
        f"/subscriptions/{match['sub']}/resourceGroups/{match['group']}/providers/"
        f"{scope.id.split('/')[6]}/workspaces/{match['workspace']}/datastores/{match['store']}",
    )
    path = unquote(match["path"])
    return Place(store.properties["accountName"], store.properties["containerName"], path)


def long_form(core: Core, scope: Resource, uri: str) -> str:
    """The address as answers show it: with the datastore and all that it is in."""
    if match := _LONG.fullmatch(uri):
        return (
            f"azureml://subscriptions/{match['sub']}/resourcegroups/{match['group']}"
            f"/workspaces/{match['workspace']}/datastores/{match['store']}/paths/{match['path']}"
        )
    if match := _JOB.fullmatch(uri):
        job = found_at(core, f"{scope.id}/jobs/{match['job'] or match['run']}")
        return long_form(core, scope, _output(job, match["output"] or "", match["path"] or ""))
    if match := _SHORT.fullmatch(uri):
        _, _, subscription, _, group, *_, name = scope.id.split("/")
        return (
            f"azureml://subscriptions/{subscription}/resourcegroups/{group}/workspaces/{name}"
            f"/datastores/{match['store']}/paths/{match['path']}"
        )
    return uri


def _output(job: Resource, output: str, path: str) -> str:
    """Where an output of a job is; without a name, or as `artifacts`, among its artifacts."""
    outputs = job.properties.get("outputs") or {}
    if output in ("", "artifacts", "default"):
        base = f"azureml://datastores/{ARTIFACTS}/paths/ExperimentRun/dcid.{job.name}/"
    elif output in outputs:
        base = job.kept["outputs"][output]
    else:
        raise bad(f"Job {job.name} has no output {output}.", "InvalidOutput")
    return f"{base.rstrip('/')}/{path}" if path else base


def _blob(core: Core, uri: str) -> Place:
    place = canonical(uri, core.blobs.accounts).partition("?")[0]
    account, _, rest = place.removeprefix("blob://").partition("/")
    container, _, path = rest.partition("/")
    if not place.startswith("blob://") or account not in core.blobs.accounts:
        raise bad(f"{uri.partition('?')[0]} is no address of files that this workspace knows.")
    return Place(account, container, unquote(path))


# --- datastores ---------------------------------------------------------------------------------


def datastores(call: Call) -> Response:
    """The answer to a request for datastores: to list, to read, and for their secrets."""
    method, stores = call.request.method, call.core.world.resources
    if method == "GET" and not call.names:
        wanted = stores.listed(call.id)
        if call.request.parameters.get("isdefault", "").casefold() == "true":
            wanted = [store for store in wanted if store.properties["isDefault"]]
        return page(call, lambda store: _shown(call, store), wanted)
    if method == "GET" and not call.action:
        return answer(200, _shown(call, call.there))
    if method == "POST" and call.action == "listsecrets":
        key = call.core.blobs.key_of(call.there.properties["accountName"])
        return answer(200, {"secretsType": "AccountKey", "key": key})
    raise unknown(call.request)


def _shown(call: Call, store: Resource) -> Json:
    return {**envelope(call, store), "properties": store.properties}


def datastore(account: str, container: str, *, default: bool) -> Json:
    """The body of a datastore on a container."""
    return {
        "properties": {
            "datastoreType": "AzureBlob",
            "accountName": account,
            "containerName": container,
            "endpoint": "core.windows.net",
            "protocol": "https",
            "isDefault": default,
            "credentials": {"credentialsType": "AccountKey"},
            "description": None,
            "tags": {},
            "properties": {},
            "serviceDataAccessAuthIdentity": "None",
        }
    }
