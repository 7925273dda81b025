"""No secret byte leaves the program: not on stdout or stderr, with -vv, nor in any file it writes.

Canaries are every secret that passes the wire while the commands run: the keys and tokens of the
environment, each signature of a SAS, each key that a service hands out. In the second world every
service is hostile: it answers with the request's own Authorization and query in its errors.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote

import pytest

from reconciler import emulator, errors
from reconciler.cli.demo import read_env_file
from reconciler.emulator.messages import Request, Response
from reconciler.model import Model
from tests import fresh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

SIGNATURE = re.compile(r"[?&]sig=([^&\s\"'<>\\]+)")
SIGNED = re.compile(r"[?&][csh]=([^&\s\"'<>\\]{16,})")  # the address of an operation
KEYS = re.compile(
    r'"(?:primary|secondary|PrimaryKey|SecondaryKey|key|primaryKey|secondaryKey|accessToken)"'
    r'\s*:\s*"([^"]{8,})"'
)
TRAINING_KEY = re.compile(r"[0-9a-f]{64}")  # a digest of a recipe, and no secret
COMMANDS: list[tuple[str, ...]] = [
    ("validate",),
    ("plan", "-vv", "--out", "plan.json"),
    ("plan", "-vv", "-o", "json"),
    ("plan", "-vv", "-o", "markdown"),
    ("train", "-vv", "--yes"),
    ("apply", "-vv", "--yes", "--report", "report.json"),
    ("apply", "-vv", "--yes", "--report", "again.json", "-o", "markdown"),
    ("ci", "comment", "-vv", "--report", "plan.json", "--dry-run"),
    ("ci", "comment", "-vv", "--report", "report.json", "--dry-run"),
    ("status", "-vv"),
    ("report", "-vv", "--html", "page.html", "--report", "report.json"),
    ("verify", "-vv", "-o", "json"),
    ("history", "-vv", "breast-cancer"),
    ("history", "-vv", "diabetes-young", "-o", "json"),
    ("export", "-vv"),
    ("export", "-vv", "--out", "exports"),
    ("plan", "-vv", "--live", "exports"),
    ("snapshot", "-vv"),
    ("snapshot", "-vv", "--out", "snapshot.json"),
    ("plan", "-vv", "--live", "snapshot.json"),
    ("rollback", "-vv", "breast-cancer", "--yes"),
    ("reinstate", "-vv", "breast-cancer", "2026-10", "--yes"),
    ("unlock", "-vv", "--force", "test"),
]


class World(Protocol):
    """An emulated cloud, and what runs are told of it."""

    cloud: emulator.Cloud

    @property
    def environ(self) -> dict[str, str]: ...


class Wiretap:
    """Collects every secret that passes; when `hostile`, errors hold the request's own."""

    def __init__(self, lab: World) -> None:
        self.secrets = {v for n, v in lab.environ.items() if n.startswith("LOCAL_")}
        self.hostile: Callable[[Request], Response | None] = lambda _: None
        self._serve = lab.cloud.handle
        lab.cloud.handle = self._handle  # type: ignore[method-assign]

    def _handle(self, request: Request) -> Response:
        self._take(f"?{request.query}")
        authorization = request.headers.get("authorization", "")
        if authorization.startswith("Bearer ") and len(authorization) > 20:
            self.secrets.add(authorization.removeprefix("Bearer "))
        response = self.hostile(request) or self._serve(request)
        if "Content-Range" not in response.headers:
            self._take(response.body.decode(errors="replace"))
        return response

    def _take(self, text: str) -> None:
        keys = (key for key in KEYS.findall(text) if not TRAINING_KEY.fullmatch(key))
        for found in (*SIGNATURE.findall(text), *SIGNED.findall(text), *keys):
            self.secrets |= {found, unquote(found), quote(unquote(found), safe="")}


def leaks(secrets: set[str], texts: dict[str, str]) -> list[str]:
    return [
        f"{secret[:6]}… in {where}"
        for where, text in texts.items()
        for secret in secrets
        if secret in text or secret in unquote(text)
    ]


def written(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file() and "_emulator" not in p.parts)
    return {str(p): p.read_text(errors="replace") for p in files}


def everything(
    command: Command, folder: Path, commands: list[tuple[str, ...]] = COMMANDS
) -> dict[str, str]:
    """What all commands print and write."""
    texts = {}
    for number, arguments in enumerate(commands):
        ran = command(*arguments)
        assert ran.code != errors.BUG, (arguments, ran.err)
        texts[f"{number} {' '.join(arguments)}"] = ran.out + ran.err
    return texts | written(folder)


def test_no_canary_is_printed_or_written(
    lab: Lab,
    command: Command,
    tmp_path: Path,
    figure: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fresh.declare(lab)  # a service that is to be made, of secrets that git names
    monkeypatch.setenv("LOCAL_IMPORT_KEY", fresh.IMPORT_KEY)
    tap = Wiretap(lab)
    texts = everything(command, tmp_path)
    assert len(tap.secrets) > 30
    assert fresh.IMPORT_KEY in tap.secrets
    assert fresh.service_of(lab) is not None
    assert "reconciler.http.client" in texts["4 train -vv --yes"]
    assert leaks(tap.secrets, texts) == []
    figure(f"secrets: {len(tap.secrets)} canaries, none in {len(texts)} outputs and files")


def echo(request: Request, status: int, content_type: str) -> Response:
    said = f"{request.headers.get('authorization', '')} {request.path}?{request.query}"
    error = {"code": "BadArgument", "message": said, "details": [{"code": "X", "message": said}]}
    body = json.dumps({"error": error}) if "json" in content_type else f"<html>{said}</html>"
    headers = {"Content-Type": content_type, "x-ms-request-id": "1", "Location": f"/?{said}"}
    return Response(status, headers, body.encode())


@pytest.mark.parametrize("door", ["blob", "the others"])
@pytest.mark.parametrize(
    ("status", "content_type"),
    [(s, "application/json") for s in (200, 302, 400, 401, 404, 409, 500)] + [(200, "text/html")],
)
def test_a_service_that_echoes_secrets_does_not_make_us_tell_them(
    lab: Lab, command: Command, tmp_path: Path, status: int, content_type: str, door: str
) -> None:
    tap = Wiretap(lab)
    tap.hostile = lambda request: (
        echo(request, status, content_type)
        if request.path.startswith("/blob/") == (door == "blob")
        else None
    )
    arguments = ("apply", "-vv", "--yes", "--report", "report.json")
    ran = command(*arguments)
    assert ran.code not in (errors.SUCCESS, errors.BUG), (ran.out, ran.err)
    assert leaks(tap.secrets, {"out": ran.out, "err": ran.err, **written(tmp_path)}) == []
    assert len(tap.secrets) > (4 if door == "blob" else 3)


@pytest.mark.parametrize("status", [400, 409, 500, 200])
def test_a_service_that_echoes_what_it_is_made_of_does_not_make_us_tell_it(
    lab: Lab, status: int
) -> None:
    """A definition that is sent holds the storage key and what modules of the graph sign in with."""
    fresh.declare(lab)
    binding = fresh.binding_of(lab)
    secrets = {lab.environ["LOCAL_STORE_KEY"], fresh.IMPORT_KEY}
    sent: list[str] = []
    serve = lab.cloud.handle

    def hostile(request: Request) -> Response:
        if request.method != "PUT":
            return serve(request)
        sent.append(request.body.decode())
        said = " ".join(sorted(secrets))
        error = {"code": said, "message": said, "details": [{"code": said, "message": said}]}
        body = json.dumps({"error": error, "properties": sent}).encode()
        return Response(status, {"Content-Type": "application/json"}, body)

    lab.cloud.handle = hostile  # type: ignore[method-assign]
    world = lab.world()
    with pytest.raises(errors.ReconcilerError) as caught:
        world.targets["WebService"].create(binding, Model(world.ledger.ref(binding.version)))
    assert all(secret in sent[0] for secret in secrets)
    told = {"message": caught.value.message, "traceback": repr(caught.value)}
    told["plan"] = repr(binding)
    assert leaks(secrets, told) == []


def test_a_traceback_holds_no_secret(
    lab: Lab, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.platforms.studio.new import WebServices

    tap = Wiretap(lab)

    def broken(self: WebServices, *_: Any) -> None:
        raise ZeroDivisionError(
            f"{lab.environ['LOCAL_STORE_KEY']} https://x/?sv=1&sig=abc%2Bdef%3D"
        )

    monkeypatch.setattr(WebServices, "switch", broken)
    ran = command("apply", "-vv", "--yes", "--report", "report.json")
    assert "Traceback" in ran.err
    assert "ZeroDivisionError" in (tmp_path / "report.json").read_text()
    tap.secrets |= {"abc%2Bdef%3D", "abc+def="}
    assert leaks(tap.secrets, {"out": ran.out, "err": ran.err, **written(tmp_path)}) == []


def test_a_leak_would_be_seen(lab: Lab, tmp_path: Path) -> None:
    key = read_env_file(lab.services / "local" / "_emulator" / "emulator.env")["LOCAL_STORE_KEY"]
    (tmp_path / "leak.txt").write_text(f"oops {quote(key, safe='')}")
    assert leaks(Wiretap(lab).secrets, written(tmp_path)) != []
