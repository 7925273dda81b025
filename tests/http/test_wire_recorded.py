"""Answers that were heard once: what follows from them, and what does not."""

from __future__ import annotations

import pytest

from reconciler.errors import NotFoundError, NotKnownError
from reconciler.http.response import Headers, Response
from reconciler.offline.recorded import Answers, Recorded

BASE = "https://account.blob.core.windows.net/"
LISTED = f"{BASE}box?restype=container&comp=list&prefix=churn/&sig=x"


def page(*names: str, marker: str = "") -> Response:
    blobs = "".join(
        f"<Blob><Name>{name}</Name><Properties><Etag>0x1</Etag></Properties></Blob>"
        for name in names
    )
    end = f"<NextMarker>{marker}</NextMarker>" if marker else "<NextMarker />"
    text = f"<EnumerationResults><Blobs>{blobs}</Blobs>{end}</EnumerationResults>"
    return Response(200, Headers({}), text.encode())


def test_a_list_that_was_not_heard_to_its_end_shows_that_nothing_is_absent() -> None:
    answers = Answers(BASE)
    answers.hear("GET", LISTED, page("churn/1/manifest.json", marker="2!more"))
    with Recorded(answers) as http:
        assert http.request("HEAD", f"{BASE}box/churn/1/manifest.json").status == 200
        with pytest.raises(NotKnownError):
            http.request("HEAD", f"{BASE}box/churn/2/manifest.json")
        with pytest.raises(NotKnownError):
            http.request("GET", LISTED)
    answers.hear("GET", f"{LISTED}&marker=2!more", page("churn/3/manifest.json"))
    with Recorded(answers) as http:
        with pytest.raises(NotFoundError) as absent:
            http.request("HEAD", f"{BASE}box/churn/2/manifest.json")
        assert absent.value.code == "BlobNotFound"
        assert b"churn/3/manifest.json" in http.request("GET", LISTED).body
        with pytest.raises(NotKnownError):
            http.request("HEAD", f"{BASE}box/other/1/manifest.json")
