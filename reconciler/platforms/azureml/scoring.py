"""Asking an endpoint, or one of its deployments, which a header names.

The keys of an endpoint are asked for when they are needed, go to its own host alone, and are shown
nowhere.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.errors import UnreadableError, WireError
from reconciler.http.asking import Credential
from reconciler.http.client import Http
from reconciler.http.credentials import Bearer
from reconciler.http.origins import Origins
from reconciler.http.response import last_lines
from reconciler.http.urls import Origin
from reconciler.model import Probe
from reconciler.platforms.answers import Door, Doors, score_of
from reconciler.platforms.arm import hearing
from reconciler.platforms.azureml.endpoint_spec import Deployed, EndpointAddress
from reconciler.platforms.azureml.workspace import Workspace, part
from reconciler.platforms.contract import Answer
from reconciler.platforms.members import objects, text
from reconciler.strict_json import parse_json

ML_SCOPE = "https://ml.azure.com/.default"
DEPLOYMENT = "azureml-model-deployment"
_HOSTS = re.compile(r"[a-z0-9-]+\.[a-z0-9]+\.inference\.ml\.azure\.com")


class Scoring:
    """Where the endpoints of a workspace are asked, and what opens them.

    `token` signs in for the scope of Azure ML, where callers sign in by Entra.
    """

    def __init__(
        self,
        http: Http,
        workspace: Workspace,
        token: Callable[[str, Origins], Credential],
        bound: frozenset[Origin] = frozenset(),
    ) -> None:
        self._http = http
        self._workspace = workspace
        self._token = token
        self._origins = hearing("a key of an endpoint", workspace.emulator, _HOSTS).also(bound)
        self._doors = Doors()

    def score(
        self,
        at: EndpointAddress,
        declared: Deployed,
        probe: Probe,
        candidate: str,
        refs: Mapping[str, str],
    ) -> Answer:
        """The answer of the deployment that has the traffic, or of the `candidate`, by its name.

        `refs` say how deployments are referred to: the service names the one that answered.
        """
        ask = lambda door: self._asked(at, door, declared, probe, candidate, refs)  # noqa: E731
        return self._doors.ask(at.key, lambda: self._door(at), ask)

    def _asked(
        self,
        at: EndpointAddress,
        door: Door,
        declared: Deployed,
        probe: Probe,
        candidate: str,
        refs: Mapping[str, str],
    ) -> Answer:
        """The answer to the probe; where a staged candidate does not answer, its log is in the
        error."""
        headers = {DEPLOYMENT: candidate} if candidate else {}
        try:
            response = self._http.request(
                *("POST", door[0]),
                credential=door[1],
                json=parse_json(probe.request),
                headers=headers,
                what=f"scoring the probe at {at}",
            )
        except WireError as exc:
            if exc.status == 424 and candidate:
                exc.args = (f"{exc.message}{self.log_of(at.path, candidate)}",)
            raise
        named = response.headers.get(DEPLOYMENT, "").lower()
        answer = score_of(response.json(), declared.answer, declared.names, probe)
        return replace(answer, model=refs.get(named, named)) if named else answer

    def _door(self, at: EndpointAddress) -> Door:
        """The scoring URL and what opens it, as the service tells them now."""
        what = f"reading the keys of {at}"
        properties = objects(self._workspace.read(at.path, what), "properties")
        url = text(properties, "scoringUri")
        if not url:
            raise UnreadableError(f"{at} has no scoringUri yet")
        mode = text(properties, "authMode").casefold()
        if mode == "aadtoken":
            return url, self._token(ML_SCOPE, self._origins)
        question, answer = ("token", "accessToken") if mode == "amltoken" else _KEY
        secret = text(self._workspace.post(f"{at.path}/{question}", what), answer)
        if not secret:
            raise UnreadableError(f"{what}: the answer holds none")
        return url, Bearer(secret, self._origins)

    def log_of(self, endpoint: str, deployment: str) -> str:
        """`; its last lines: …` of the container of a deployment; "" where nobody shows them."""
        path = f"{endpoint}/deployments/{part(deployment)}/getLogs"
        body: dict[str, Any] = {"containerType": "InferenceServer", "tail": 100}
        with contextlib.suppress(WireError):  # of a container that never began
            content = self._workspace.post(path, f"reading the log of {deployment}", body)
            if lines := last_lines(text(content, "content")):
                return f"; its last lines: {lines}"
        return ""


_KEY = ("listKeys", "primaryKey")
