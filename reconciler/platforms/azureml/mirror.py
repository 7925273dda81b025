"""A copy of the live traffic for a candidate, before it gets traffic of its own.

At the whiteboard: one PUT of the endpoint mirrors a share of the traffic to the candidate. Whoever
asks the endpoint hears the deployment that serves, and never the copy. Azure Monitor counts the
answers by status, so the candidate is stopped once too many of them fail. Whatever comes of it, the
mirror is switched off, and only then does traffic move or the version lose its place.

Since when it runs is a tag of the endpoint, so a run that follows one which was killed waits for
the rest of the time only. A tag without a mirror means that somebody switched it off. A mirror
towards a deployment of ours that is not wanted any more is switched off with the next change.

Metrics come some minutes late, and nobody recorded whether they count copies (`mirror_metrics`).
Where none is counted, the error rate is not known, which is said and rejects nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from reconciler.errors import UnreadableError
from reconciler.platforms.azureml.endpoint_spec import EndpointAddress, Mirror
from reconciler.platforms.azureml.endpoint_state import MIRRORED, Reading, shares
from reconciler.platforms.azureml.endpoint_writes import mirrored
from reconciler.platforms.azureml.workspace import BUSY, Workspace, state_of
from reconciler.platforms.contract import DONE, Left, OperationState, Progress
from reconciler.platforms.members import lists, member, objects, text, texts

_ENOUGH = 20  # requests; before that one failure stops nobody
_MINUTE_S = 60.0


@dataclass
class _Copy:
    """A mirror that is waited for; `verdict` is what comes of it, once it is switched off."""

    at: EndpointAddress
    name: str
    mirror: Mirror
    verdict: Progress | None = None
    off_at: float = 0.0


class Mirrors:
    """The mirrors of one workspace; `settle_s` is how long the service may show the old ones."""

    def __init__(self, workspace: Workspace, now: Callable[[], float], settle_s: float) -> None:
        self._workspace = workspace
        self._now = now
        self._settle_s = settle_s

    def begin(
        self,
        reading: Reading,
        at: EndpointAddress,
        name: str,
        mirror: Mirror,
        then: Callable[[], str],
    ) -> str:
        """Mirror traffic to a deployment, or wait for the rest of a mirror that runs."""
        copy, what = _Copy(at, name, mirror), f"mirroring traffic of {at} to {name}"
        # Who may not read the metrics hears it before anything is changed.
        self._counted(copy, self._now() - 2 * _MINUTE_S)

        def wait() -> str:
            path = f"{at.path}/deployments/{name}"
            return self._workspace.await_(path, what, lambda: self._progress(copy), then)

        noted, _ = _noted(reading.endpoint)
        if reading.mirrored == {name: mirror.share} and noted == name:
            return wait()
        (spelled,) = reading.spelled({name: mirror.share})
        body = mirrored(reading.endpoint, {spelled: mirror.share}, f"{name} {self._now():.0f}")
        return self._workspace.write("PUT", at.path, what, wait, json=body)

    def end(self, reading: Reading, at: EndpointAddress, then: Callable[[], str]) -> str:
        """Switch off a mirror that a run left, and go on."""
        what, body = f"switching off the mirror of {at}", mirrored(reading.endpoint, {}, "")
        return self._workspace.write("PUT", at.path, what, then, json=body)

    def _progress(self, copy: _Copy) -> Progress:
        """How far it is; it ends when it is switched off, whatever came of it."""
        endpoint = self._workspace.read(copy.at.path, f"reading {copy.at}")
        share = shares(endpoint, "mirrorTraffic").get(copy.name, 0)
        if state_of(endpoint) in BUSY:
            return _running(f"the endpoint is {state_of(endpoint)}")
        if copy.verdict is None:
            return self._judged(copy, endpoint, share)
        if not share:
            return copy.verdict
        if self._now() - copy.off_at >= self._settle_s:
            self._switch_off(copy, endpoint)
        return _running("until it is switched off")

    def _judged(self, copy: _Copy, endpoint: dict[str, Any], share: int) -> Progress:
        """The progress of a mirror: its verdict counts once time is up, or once errors are surely
        too many."""
        mirror, (name, since) = copy.mirror, _noted(endpoint)
        took_s = self._now() - since
        if share != mirror.share or name != copy.name:
            if name == copy.name and took_s < self._settle_s:
                return _running("it does not show yet")
            words = f"the mirror to {copy.name} was changed outside git; apply again"
            return Progress(OperationState.FAILED, words)
        failed, count = self._counted(copy, since) if took_s >= _MINUTE_S else (0.0, 0.0)
        rate = f"{failed:.0f} of about {count:.0f} failed" if count else "no answer is counted yet"
        ends, over = took_s >= mirror.for_s, failed * 100 > mirror.errors * count
        if over and (ends or count >= _ENOUGH):
            most = f"more than {mirror.errors:g} %"
            words = f"of the requests that were mirrored to the candidate, {rate}, {most}"
            copy.verdict = Progress(OperationState.FAILED, words, Left.CANDIDATE_UNFIT)
        elif ends:
            copy.verdict = DONE
        if copy.verdict is not None:
            self._switch_off(copy, endpoint)
        minutes = f"{took_s / _MINUTE_S:.0f} of {mirror.for_s / _MINUTE_S:g} min"
        return _running(f"mirrors {share} % for {minutes}: {rate}")

    def _switch_off(self, copy: _Copy, endpoint: dict[str, Any]) -> None:
        what = f"switching off the mirror of {copy.at}"
        body = mirrored(endpoint, {}, "")
        self._workspace.write("PUT", copy.at.path, what, json=body)
        copy.off_at = self._now()

    def _counted(self, copy: _Copy, since: float) -> tuple[float, float]:
        """How many answers of the deployment were bad since then, and how many there were at all:
        the averages of minutes, so both are estimates."""
        what = f"reading the metrics of {copy.at}"
        counts = self._workspace.metrics(
            copy.at.path,
            what,
            metricnames="RequestsPerMinute",
            timespan=f"{_iso(since)}/{_iso(self._now())}",
            interval="PT1M",
            aggregation="Average",
            **{"$filter": f"deployment eq '{copy.name}' and statusCode eq '*'"},
        )
        failed = total = 0.0
        for status, count in _series(counts, what):
            total += count
            failed += 0.0 if status.startswith("2") else count
        return failed, total


def _series(answer: dict[str, Any], what: str) -> Iterator[tuple[str, float]]:
    """The statuses and counts of an answer of Azure Monitor."""
    for metric in lists(answer, "value"):
        for each in lists(metric, "timeseries"):
            names = {
                text(objects(pair, "name"), "value").casefold(): text(pair, "value")
                for pair in lists(each, "metadatavalues")
            }
            for point in lists(each, "data"):
                count = member(point, "average")
                if isinstance(count, bool) or not isinstance(count, int | float | None):
                    raise UnreadableError(f"{what}: {count!r} is no number of requests")
                yield names.get("statuscode", ""), float(count or 0)


def _noted(endpoint: Any) -> tuple[str, float]:
    """The deployment that traffic is mirrored to as we noted it, and since when; "" for none."""
    name, _, since = texts(endpoint, "tags").get(MIRRORED, "").partition(" ")
    return (name, float(since)) if since.isdecimal() else ("", 0.0)


def _running(words: str) -> Progress:
    return Progress(OperationState.RUNNING, words)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
