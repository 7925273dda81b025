"""Definitions of New services: shaped as exported ones are, of any size."""

from __future__ import annotations

import json
from typing import Any

NAME, URI, HOST = "@NAME@", "@URI@", "@HOST@"  # what differs from service to service
SUBSCRIPTION, GROUP = "00000000-0000-4000-8000-000000000001", "fleet"


def definition(
    size: int, *, in_blob: str = "", tags: dict[str, str] | None = None
) -> dict[str, Any]:
    """A definition of at least `size` bytes, its nodes making up the size.

    With `in_blob`, the URL of its payload, it is what a GET answers then: everything but that.
    """
    properties: dict[str, Any] = {
        "packageType": "Graph",
        "title": NAME,
        "createdOn": "2017-04-12T00:39:25.4465774Z",
        "modifiedOn": "2017-04-12T00:39:25.4465774Z",
        "provisioningState": "Succeeded",
        "readOnly": False,
        "swaggerLocation": f"{HOST}/subscriptions/{'0' * 32}/services/{NAME}/swagger.json",
        "exposeSampleData": True,
        "realtimeConfiguration": {"maxConcurrentCalls": 20},
        "diagnostics": {"level": "None"},
        "storageAccount": {"name": "benchstore"},
        "machineLearningWorkspace": {"id": "f" * 32},
    }
    if in_blob:
        properties |= {"payloadsInBlobStorage": True, "payloadsLocation": {"uri": in_blob}}
    else:
        properties |= {"payloadsInBlobStorage": False, **payload(size)}
    return {
        "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
        f"/providers/Microsoft.MachineLearning/webServices/{NAME}",
        "name": NAME,
        "type": "Microsoft.MachineLearning/webServices",
        "location": "South Central US",
        "tags": tags or {},
        "properties": properties,
    }


def payload(size: int) -> dict[str, Any]:
    """Assets, ports and a package of at least `size` bytes in JSON."""
    assets = {f"asset{i}": _module(i) for i in range(1, 4)} | {"asset4": _model()}
    columns = {f"column {i}": {"type": "Number", "format": "Double"} for i in range(10)}
    nodes: dict[str, Any] = {}
    found = {
        "assets": assets,
        "input": {
            "type": "object",
            "properties": {"input1": {"type": "object", "properties": columns}},
        },
        "output": {"type": "object", "properties": {"output1": {"type": "object"}}},
        "parameters": {},
        "package": {"nodes": nodes, "edges": [], "graphParameters": {}},
    }
    length, one = len(json.dumps(found)), len(json.dumps(_node(0)))
    nodes |= {f"node{i}": _node(i) for i in range(max((size - length) // (one + 12), 0) + 1)}
    return found


def _module(number: int) -> dict[str, Any]:
    uri = f"aml://module/506153734175476c4f62416c57734963.{number:032x}.v1-default-1743"
    return {
        "name": f"Module {number}",
        "type": "Module",
        "locationInfo": {"uri": uri, "credentials": ""},
    }


def _model() -> dict[str, Any]:
    return {
        "name": "Fleet [trained model]",
        "type": "Resource",
        "locationInfo": {"uri": URI, "credentials": ""},
        "outputPorts": {"Results dataset": {"type": "Dataset"}},
    }


def _node(number: int) -> dict[str, Any]:
    parameters = {
        "Column Selection": {"value": "%7B%22isFilter%22%3Atrue%2C%22rules%22%3A%5B%5D%7D"},
        "Missing Value Ratio": {"value": str(number)},
        "Keep Indicator": {"value": "True"},
    }
    return {"assetId": f"asset{number % 3 + 1}", "parameters": parameters}
