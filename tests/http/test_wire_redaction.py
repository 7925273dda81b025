"""What is kept of an answer: the same shape, everything that decides a plan, and no secret."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import redact, remember_secret
from reconciler.offline.recorded import key_of
from reconciler.offline.redaction import kept_json, kept_text
from reconciler.platforms.studio.new_definition import (
    assets_with_credentials,
    find_model_asset,
    parse_definition,
)

CANARY = "c4n4ryc4n4ryc4n4ry"
SECRET_NAMES = [
    "dbPassword",
    "Client Secret",
    "api_token 2",
    "key",
    "Keys",
    "PrimaryKey",
    "secondary",
    "credentials",
    "SasBlobToken",
    "password",
]
URLS = [
    f"https://a.blob.core.windows.net/x/y.ilearner?sv=1&sig={CANARY}",
    f"https://user:{CANARY}@a.example/x",
    f"https://a.example/x#{CANARY}",
    f"see https://a.example/x?token={CANARY} for more",
    f"wasb://{CANARY}@host/x",
    f"Bearer {CANARY}",
    f"AccountKey={CANARY};x",
]


def within(value: Any) -> dict[str, Any]:
    return {"locationInfo": value}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(URLS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "uri", "type", "properties"]), inner)
        | st.fixed_dictionaries(
            {"assets": st.dictionaries(st.sampled_from(["1", "key"]), st.builds(within, inner))}
        )
        | st.dictionaries(st.sampled_from(SECRET_NAMES), st.just(CANARY) | st.just([CANARY]))
        | st.just({"certificateThumbprint": "ab", "value": CANARY})
        | st.just({"exampleRequest": {"Inputs": CANARY}, "parameters": {"q": CANARY}})
    ),
    max_leaves=12,
)


def names(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted(value)
    return len(value) if isinstance(value, list) else type(value)


@given(values)
def test_no_secret_is_kept_and_every_name_is(value: Any) -> None:
    kept = kept_json(value)
    assert CANARY not in json.dumps(kept)
    assert names(kept) == names(value)


@pytest.mark.parametrize("text", URLS)
def test_a_text_loses_the_secret_in_it(text: str) -> None:
    assert CANARY not in kept_json(text)


DEFINITION = {
    "name": "n",
    "properties": {
        "keys": {"primary": CANARY},
        "storageAccount": {"name": "s", "key": CANARY},
        "assets": {
            "key": {
                "name": "M [trained model]",
                "type": "Resource",
                "locationInfo": {"uri": f"https://s/x.ilearner?sig={CANARY}"},
            },
            "token": {
                "name": "T",
                "type": "Resource",
                "locationInfo": {"uri": "https://s/t", "credentials": CANARY},
            },
        },
        "package": {"nodes": {"primary": {"assetId": "key", "parameters": {"p": CANARY}}}},
        "exampleRequest": {"inputs": CANARY},
    },
}


def test_what_decides_a_plan_of_a_definition_is_kept() -> None:
    kept = kept_json(DEFINITION)
    assert CANARY not in json.dumps(kept)
    before, after = parse_definition(DEFINITION), parse_definition(kept)
    assert find_model_asset(after, None) == find_model_asset(before, None) == "key"
    assert assets_with_credentials(after, "key") == assets_with_credentials(before, "key")
    assert after.package["nodes"]["primary"]["assetId"] == "key"


def test_a_url_is_known_again_whatever_signature_it_carries() -> None:
    base = "https://management.azure.com/subscriptions/1"
    one = key_of(f"{base}?api-version=2017-01-01&sig={CANARY}")
    assert one == key_of(f"{base}?sig=other&api-version=2017-01-01")
    assert CANARY not in one
    assert one != key_of(f"{base}?api-version=2016-05-01")


def test_of_a_record_neither_answers_nor_reasons_are_kept() -> None:
    event = {"what": "proof", "why": "a name", "who": "a name"}
    record = {"wanted": "m", "before": {"rows": [["a name"]]}, "history": [event]}
    content = json.dumps(record).encode()
    kept = json.loads(kept_text("_records/webServices/x.json", content))
    assert kept == {
        "wanted": "m",
        "before": None,
        "history": [{"what": "proof", "why": "", "who": ""}],
    }
    assert json.loads(kept_text("churn/1/manifest.json", content)) == record


def test_secrets_may_become_known_while_others_are_hidden() -> None:
    """Threads sign in and read keys while others tell of errors."""
    many = [f"{number:x}".zfill(20) for number in range(3_000)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            learning = pool.submit(lambda: [remember_secret(value) for value in many])
            while not learning.done():
                redact("an escape: %2b")
        learning.result()
    finally:
        sys.setswitchinterval(before)
    assert redact(many[-1]) == "***"
