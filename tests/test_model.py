"""The vocabulary: what is taken for normal already is what normalising would leave."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import ModelRef, Version

URLS = st.builds(
    "{}:{}{}".format,
    st.sampled_from(["http", "https", "s3", "file", "models"]),
    st.sampled_from(["//", "/", "", "///"]),
    st.text("aZ0.:-/_=~,%+ ", max_size=24),
)


@given(URLS)
def test_a_model_reference_is_normal_once_it_is_made(url: str) -> None:
    parts = urlsplit(url)
    if not parts.netloc and (parts.scheme.startswith("http") or not parts.path):
        with pytest.raises(ValueError, match="plain"):
            ModelRef(url)
        return
    path = quote(unquote(parts.path), safe="/=~,:")
    slashes = "//" if url.startswith("//", len(parts.scheme) + 1) else ""
    assert ModelRef(url).url == f"{parts.scheme}:{slashes}{parts.netloc.lower()}{path}"
    assert ModelRef(ModelRef(url).url) == ModelRef(url)


OTHERS = {
    "s3://Models/a/b c": "s3://models/a/b%20c",
    "file:///srv/models/a": "file:///srv/models/a",
    "models:/fraud/7": "models:/fraud/7",
    "azureml:churn:7": "azureml:churn:7",
}


@pytest.mark.parametrize(("uri", "normal"), OTHERS.items())
def test_a_model_reference_has_any_scheme(uri: str, normal: str) -> None:
    assert ModelRef(uri).url == normal
    assert ModelRef(normal).url == normal


@pytest.mark.parametrize("uri", ["", "a/b", "s3://", "s3://key@host/a", "s3://a/b?sig=x", "s3:a#b"])
def test_a_model_reference_carries_no_token_and_is_not_relative(uri: str) -> None:
    with pytest.raises(ValueError, match="a model reference must"):
        ModelRef(uri)


def test_a_version_that_was_asked_for_its_folder_equals_one_that_was_not() -> None:
    asked, fresh = (Version("m", "1", (("b", "2"), ("a", "~"))) for _ in range(2))
    assert asked.folder == "m/1/a=%7E,b=2"
    assert (asked, hash(asked)) == (fresh, hash(fresh))
