"""The process of a container: runs `init()` and `run()` of a scoring script, or an MLflow model.

It is started by its path and imports nothing of this package. Requests come as JSON lines on
stdin, answers go as JSON lines to what was stdout; what the script prints goes to the log, and so
do requests and exceptions, in the words of the real inference server. When stdin ends, whoever
started it is gone, and so is it, whatever the script is doing.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

Run = Callable[[str], Any]
_FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."


def main() -> None:
    """Serve until stdin ends: `worker.py script FILE` or `worker.py mlflow FOLDER`."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)
    asked: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(sys.stdin, asked), daemon=True).start()
    kind, path = sys.argv[1:]
    try:
        run = _script(Path(path)) if kind == "script" else _mlflow(path)
    except BaseException:
        traceback.print_exc()
        _log("E", "User container has crashed or terminated.")
        os._exit(1)
    answers.write(json.dumps({"ready": True}) + "\n")
    while True:
        request = json.loads(asked.get())
        answers.write(json.dumps({"id": request["id"], **_answered(run, request["body"])}) + "\n")


def _read(lines: IO[str], asked: queue.Queue[str]) -> None:
    for line in lines:
        asked.put(line)
    os._exit(0)


def _script(path: Path) -> Run:
    sys.path.insert(0, str(path.parent))
    os.chdir(path.parent)
    spec = importlib.util.spec_from_file_location("entry_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["entry_module"] = module
    spec.loader.exec_module(module)
    _log("I", "Invoking user's init function")
    module.init()
    _log("I", "Users's init has completed successfully")
    run: Run = module.run
    return run


def _mlflow(folder: str) -> Run:
    import mlflow.pyfunc
    import pandas

    model = mlflow.pyfunc.load_model(folder)

    def run(text: str) -> Any:
        given = json.loads(text)["input_data"]
        if isinstance(given, dict) and {"columns", "data"} <= set(given):
            table = pandas.DataFrame(given["data"], given.get("index"), given["columns"])
        else:
            table = pandas.DataFrame(given)
        predicted = model.predict(table)
        return predicted.tolist() if hasattr(predicted, "tolist") else predicted

    return run


def _answered(run: Run, body: str) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        made = run(body)
        content = json.dumps({} if made is None else made)
        answer = {"status": 200, "failed": False, "body": content}
    except Exception:
        _log("E", f"Encountered Exception: {traceback.format_exc()}")
        answer = {"status": 500, "failed": True, "body": json.dumps({"message": _FAILED})}
    spent = f"{(time.perf_counter() - started) * 1000:.3f}"
    _log("I", f"POST /score {answer['status']} {spent}ms {len(str(answer['body']))}")
    return answer if answer["failed"] else {**answer, "ms": spent}


def _log(level: str, text: str) -> None:
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
    line = f"{stamp},{int(now % 1 * 1000):03} {level} [{os.getpid()}] azmlinfsrv - {text}"
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
