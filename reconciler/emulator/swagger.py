"""The swagger document of a scoring base (§5): the parts that sources show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Request
    from reconciler.emulator.world import Json


def swagger(core: Core, request: Request, place: str) -> Json:
    """A swagger 2.0 document for the scoring base at path `place`."""
    served = core.served_at(place)
    operation = {"responses": {"200": {"description": "OK"}}, "produces": ["application/json"]}
    return {
        "swagger": "2.0",
        "info": {
            "version": "2.0",
            "title": served.title,
            "description": "",
            "x-endpoint-name": served.endpoint or "default",
        },
        "host": request.host,
        "schemes": [request.scheme],
        "basePath": place,
        "paths": {
            "/swagger.json": {"get": {**operation, "operationId": "getSwaggerDocument"}},
            "/execute": {"post": {**operation, "operationId": "execute"}},
            "/jobs": {"post": {**operation, "operationId": "submitJob"}},
            "/jobs/{jobId}": {"get": {**operation, "operationId": "getJob"}},
            "/jobs/{jobId}/start": {"post": {**operation, "operationId": "startJob"}},
        },
    }
