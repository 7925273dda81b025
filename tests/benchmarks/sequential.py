"""The documented loop, as somebody writes it down from Microsoft's walkthrough: one endpoint after
the other is retrained, waited for, and patched.

    python sequential.py BASE-URL WORKSPACE SERVICE TRAINING-SERVICE ACCOUNT COUNT
"""

import sys
import time

import requests

base, workspace, service_name, training, account, count = sys.argv[1:]
token = {"Authorization": "Bearer workspace-token"}
key = {"Authorization": "Bearer training-key"}
management = f"{base}/workspaces/{workspace}/webservices"
jobs = f"{base}/workspaces/{workspace}/services/{training}/jobs"

services = requests.get(management, headers=token, timeout=60).json()
service = next(s["Id"] for s in services if s["Name"] == service_name)
endpoints = requests.get(f"{management}/{service}/endpoints", headers=token, timeout=60).json()

for endpoint in endpoints[: int(count)]:
    name = endpoint["Name"]
    blob = {
        "ConnectionString": "AccountName=…;AccountKey=…",
        "BaseLocation": "",
        "SasBlobToken": "",
    }
    outputs = {"output1": {**blob, "RelativeLocation": f"retrain/{name}.ilearner"}}
    body = {"GlobalParameters": {"URI": f"https://data.example/{name}.csv"}, "Outputs": outputs}
    job = requests.post(f"{jobs}?api-version=2.0", json=body, headers=key, timeout=60).json()
    requests.post(f"{jobs}/{job}/start?api-version=2.0", headers=key, timeout=60)
    while True:
        url = f"{jobs}/{job}?api-version=2.0"
        status = requests.get(url, headers=key, timeout=60).json()
        if status["StatusCode"] in ("Failed", "Cancelled"):
            sys.exit(f"{name}: {status}")
        if status["StatusCode"] == "Finished":
            break
        time.sleep(1)
    location = {
        "BaseLocation": f"{base}/blob/{account}/",
        "RelativeLocation": status["Results"]["output1"]["RelativeLocation"],
        "SasBlobToken": "?sv=…",
    }
    change = {"Resources": [{"Name": endpoint["Resources"][0]["Name"], "Location": location}]}
    url = f"{management}/{service}/endpoints/{name}"
    requests.patch(url, json=change, headers=token, timeout=60).raise_for_status()
