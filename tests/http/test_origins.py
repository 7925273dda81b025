"""Which servers may hear a secret: none that only git names."""

from __future__ import annotations

import re

import pytest

from reconciler.errors import CONFIGURATION, ConfigurationError, RefusedError
from reconciler.http.origins import Origins, bound_origins

RAY = "https://ray.acme.internal:8265"
COMPILED = Origins("a token of Acme", hosts=re.compile(r"api\.acme\.example"))
OPEN = Origins("RAY_TOKEN").also(frozenset())


def bound(text: str) -> Origins:
    return Origins("RAY_TOKEN").also(bound_origins({"RECONCILER_ORIGINS": text}))


def test_a_url_of_git_alone_gets_no_secret() -> None:
    with pytest.raises(RefusedError) as caught:
        OPEN.check(f"{RAY}/api/jobs?token=c4n4ry")
    assert caught.value.message == (
        "RAY_TOKEN must not go to https://ray.acme.internal:8265, which is not bound to it outside "
        "git; if you trust it, add it to RECONCILER_ORIGINS beside the secrets"
    )


def test_hosts_that_are_compiled_in_cannot_be_added_to() -> None:
    COMPILED.check("https://api.acme.example/a")
    with pytest.raises(RefusedError) as caught:
        COMPILED.check("https://api.acme.example.evil.example/a")
    assert "RECONCILER_ORIGINS" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    [RAY, f"{RAY}/", f"{RAY}/api?a=b#c", "https://RAY.acme.INTERNAL:8265/x", "http://[::1]:5000/x"],
)
def test_a_listed_origin_gets_the_secret(url: str) -> None:
    assert url in bound(f" {RAY}/   http://[::1]:5000 ")


@pytest.mark.parametrize(
    "url",
    [
        "http://ray.acme.internal:8265/",
        "https://ray.acme.internal/",
        "https://ray.acme.internal:443/",
        "https://ray.acme.internal:82650/",
        "https://ray.acme.internal:8265.evil.example/",
        "https://ray.acme.internal.:8265/",
        "https://xray.acme.internal:8265/",
        "https://ray.acme.internal:8265@evil.example/",
        "https://user@ray.acme.internal:8265/",
        "https://evil.example#@ray.acme.internal:8265/",
        "https://evil.example\\@ray.acme.internal:8265/",
        "https://evil.example/ray.acme.internal:8265",
        "https://r\u0430y.acme.internal:8265/",
        "https://xn--ry-7kc.acme.internal:8265/",
        "https://ray.acme\u3002internal:8265/",
        "https://ray.acme.internal\u2044:8265/",
        "//ray.acme.internal:8265/",
        "ray.acme.internal:8265",
        "",
    ],
)
def test_what_looks_like_a_listed_origin_gets_nothing(url: str) -> None:
    assert url not in bound(RAY)
    with pytest.raises(RefusedError, match="RAY_TOKEN must not go to"):
        bound(RAY).check(url)


@pytest.mark.parametrize("entry", ["http://ray.acme.internal:8265", "http://localhost.example"])
def test_a_listed_origin_is_https_or_this_machine(entry: str) -> None:
    with pytest.raises(ConfigurationError, match=r"entry 2 is http://.* by https only"):
        bound(f"{RAY} {entry}")


@pytest.mark.parametrize(
    "entry",
    [
        "https://*.acme.internal",
        "https://acme.internal/path",
        "https://acme.internal?q",
        "https://user:word@acme.internal",
        "acme.internal",
        "https://acme.internal,https://b.example",
        "https://acme\u3002internal",
    ],
)
def test_an_entry_that_is_no_origin_is_refused_unshown(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="entry 2 must be https://HOST:PORT") as caught:
        bound(f"{RAY} {entry}")
    assert "word" not in caught.value.message
    assert caught.value.exit_code == CONFIGURATION


def test_nothing_is_bound_where_nothing_is_listed() -> None:
    assert bound_origins({}) == bound_origins({"RECONCILER_ORIGINS": "  "}) == frozenset()
