"""Two environments, staging and production, of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.desired.trees import BINDING, ENVIRONMENT, MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping

STAGING = ENVIRONMENT.replace("name: prod", "name: staging")
PRODUCTION = ENVIRONMENT.replace("name: prod", "name: production").replace("ml-prod", "ml-p")
NEW = BINDING.replace("2026-10", "2026-11")
FLEET = """\
apiVersion: reconciler/v1
kind: ClassicEndpoint
metadata: {name: "bike-${at}"}
forEach: {at: [a, b, c]}
spec:
  webService: Bikes
  endpoint: "${at}"
  model: {name: bikes, version: "7", with: {at: "${at}"}}   # all of them
"""
BIKES = MODEL.replace("name: churn", "name: bikes").replace("churn/${", "${at}/${")
TREE: Mapping[str, str] = {
    "models/churn.yaml": MODEL,
    "staging/environment.yaml": STAGING,
    "staging/churn.yaml": NEW,
    "staging/probe.json": "{}",
    "production/environment.yaml": PRODUCTION,
    "production/churn.yaml": BINDING,
    "production/probe.json": "{}",
}
FLEETS: Mapping[str, str] = {
    **TREE,
    "models/bikes.yaml": BIKES,
    "staging/bikes.yaml": FLEET.replace('"7"', '"8"'),
    "production/bikes.yaml": FLEET,
}
