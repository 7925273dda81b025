"""Serves the version that the alias leads to: POST {"wines": [[…13 numbers…]]} to port 8600."""

import http.server
import io
import json
from urllib.request import urlopen

import joblib

SERVER = "http://127.0.0.1:5000"
loaded = {}  # the version that was loaded last, and its model


def ask(path):
    return json.load(urlopen(f"{SERVER}/api/2.0/mlflow/{path}"))


def current():
    """The version that the alias leads to now, and its model."""
    aliases = ask("registered-models/get?name=wine")["registered_model"].get("aliases", [])
    version = {each["alias"]: each["version"] for each in aliases}["champion"]
    if loaded.get("version") != version:
        source = ask(f"model-versions/get?name=wine&version={version}")["model_version"]["source"]
        file = f"{source.removeprefix('mlflow-artifacts:/')}/model.joblib"
        content = urlopen(f"{SERVER}/api/2.0/mlflow-artifacts/artifacts/{file}").read()
        loaded.update(version=version, model=joblib.load(io.BytesIO(content)))
    return version, loaded["model"]


class Wines(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        try:
            version, model = current()
            wines = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["wines"]
            chances = model.predict_proba(wines)
            rows = [dict(zip(model.classes_, map(float, row), strict=True)) for row in chances]
            status, answer = 200, {"version": version, "chances": rows}
        except Exception as exc:
            status, answer = 503, {"error": f"{type(exc).__name__}: {exc}"}
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


http.server.ThreadingHTTPServer(("127.0.0.1", 8600), Wines).serve_forever()
