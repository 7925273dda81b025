"""Serves whichever model the pointer leads to: POST {"wines": [[…13 numbers…]]} to port 8500."""

import http.server
import json
from pathlib import Path

import joblib

POINTER = Path(__file__).parent / "serving" / "wine.json"
loaded = {}  # the pointer that was followed last, and its model


def current():
    """The version that is declared now, and its model."""
    pointer = json.loads(POINTER.read_text(encoding="utf-8"))
    if loaded.get("pointer") != pointer:
        loaded.update(pointer=pointer, model=joblib.load(pointer["path"]))
    return pointer["version"], loaded["model"]


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


http.server.ThreadingHTTPServer(("127.0.0.1", 8500), Wines).serve_forever()
