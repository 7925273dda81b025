"""`reconciler emulator`: the emulated cloud on 127.0.0.1, until it is stopped."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli import compose, session, stopping
from reconciler.cli.options import EMULATOR_PORT
from reconciler.console import say
from reconciler.errors import ConfigurationError
from reconciler.http.client import Http
from reconciler.outcome import Outcome

if TYPE_CHECKING:
    from reconciler.emulator import Cloud, Server

NEEDS = (
    "the emulator trains with scikit-learn; install it: pip install scikit-learn, or, in a clone "
    "of this program's repository, pip install '.[emulator]'"
)


def serve(
    port: int,
    state: Path | None,
    seed: Path | None,
    speed: float,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> Outcome:
    """`emulator`: serve until SIGINT or SIGTERM."""
    from reconciler import emulator

    if (tls_cert is None) != (tls_key is None):
        raise ConfigurationError("--tls-cert and --tls-key go together")
    cloud, stop = opened(state, seed, speed), stopping.Stop()
    server = _bound(cloud, port, tls_cert, tls_key)
    with stopping.stoppable(stop, quiet=True):
        server.start()
        say(f"emulator of {emulator.NAME}, world {cloud.world.id}, at {server.url}")
        for notice in _notices(cloud, server.url, state, seed):
            say(notice)
        stop.event.wait()
    server.stop()
    say(f"the emulator stopped; its world is {f'in {state}' if state else 'gone'}")
    return Outcome()


def _notices(cloud: Cloud, url: str, state: Path | None, seed: Path | None) -> Iterator[str]:
    """Lines for what a person would miss otherwise: an empty world, a seed not planted, how to get
    here."""
    if cloud.world.empty:
        yield f"this world is empty; --seed FILE plants one, such as {session.sample_seed()}"
    elif seed is not None and state is not None and not cloud.planted:
        yield (
            f"{seed} was not planted: {state} holds this world already. For a fresh one name an "
            "empty folder by --state."
        )
    here = f"export {compose.EMULATOR_VARIABLE}={url}#{cloud.world.id}"
    if url == f"http://127.0.0.1:{EMULATOR_PORT}":
        yield f"commands talk to this address anyway; to let them refuse another world: {here}"
    else:
        yield f"commands talk to this world only after: {here}"


def _bound(cloud: Cloud, port: int, tls_cert: Path | None, tls_key: Path | None) -> Server:
    from reconciler import emulator

    try:
        return emulator.serve(cloud, port, certfile=tls_cert, keyfile=tls_key)
    except OSError as exc:
        of_the_port = exc.errno == errno.EADDRINUSE or not tls_cert
        where = f"port {port}" if of_the_port else f"{tls_cert} and {tls_key}"
        why = f"{exc.strerror or exc}{_way_out(port) if of_the_port else ''}"
        raise ConfigurationError(f"the emulator cannot start with {where}: {why}") from exc


def _way_out(port: int) -> str:
    """Who listens there, and how to start beside it."""
    url = f"http://127.0.0.1:{port}"
    with Http(retries=0, timeout_s=(2.0, 2.0)) as http:  # a stranger may never answer
        world = session.world_at(http, url)
    by = f" by the emulator of world {world}" if world else ""
    return (
        f"{by}; stop what listens there, or start with --port 0 and export "
        f"{compose.EMULATOR_VARIABLE} as it says then"
    )


def opened(state: Path | None, seed: Path | None, speed: float) -> Cloud:
    """The emulated cloud, seeded if it is empty; ConfigurationError says what is in the way."""
    from reconciler import emulator

    try:
        cloud = emulator.Cloud(emulator.Options(speed=speed), state=state)
        if seed is not None:
            cloud.seed(seed)
    except ModuleNotFoundError as exc:
        raise ConfigurationError(f"{NEEDS} ({exc.name} is missing)") from exc
    except OSError as exc:
        why = f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc)
        raise ConfigurationError(f"the emulator cannot start: {why}") from exc
    except ValueError as exc:
        raise ConfigurationError(f"the emulator cannot start: {exc}") from exc
    return cloud
