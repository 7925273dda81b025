"""`reconciler emulator`: the emulated cloud on 127.0.0.1, until it is stopped."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.cli.output import say
from reconciler.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
) -> int:
    """`emulator`: serve until SIGINT or SIGTERM."""
    from reconciler.cli.session import Stop, stoppable

    if (tls_cert is None) != (tls_key is None):
        raise ConfigurationError("--tls-cert and --tls-key go together")
    with opened(state, seed, speed) as cloud:
        server = _bound(cloud, port, tls_cert, tls_key)
        stop = Stop()
        with stoppable(stop, quiet=True):
            server.start()
            say(f"emulator of Azure Machine Learning Studio (retired 31 Aug 2024) at {server.url}")
            stop.event.wait()
        server.stop()
        say(
            "the emulator stopped; "
            + (f"its world is in {state}" if state else "its world is gone")
        )
    return errors.SUCCESS


def _bound(cloud: Cloud, port: int, tls_cert: Path | None, tls_key: Path | None) -> Server:
    from reconciler import emulator

    try:
        return emulator.serve(cloud, port, certfile=tls_cert, keyfile=tls_key)
    except OSError as exc:
        of_the_port = exc.errno == errno.EADDRINUSE or not tls_cert
        where = f"port {port}" if of_the_port else f"{tls_cert} and {tls_key}"
        why = exc.strerror or exc
        raise ConfigurationError(f"the emulator cannot start with {where}: {why}") from exc


@contextlib.contextmanager
def opened(state: Path | None, seed: Path | None, speed: float) -> Iterator[Cloud]:
    """The emulated cloud, seeded if it is empty; ConfigurationError says what is in the way."""
    from reconciler import emulator

    try:
        cloud = emulator.Cloud(emulator.Options(speed=speed), state=state)
        if seed is not None:
            cloud.seed(seed)
    except ModuleNotFoundError as exc:
        raise ConfigurationError(f"{NEEDS} ({exc.name} is missing)") from exc
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"the emulator cannot start: {exc}") from exc
    yield cloud
