"""What HubSpot's token endpoint says, and what it means."""

import gzip
import json
import tracemalloc

import brotli
import pytest

from broker.errors import CredentialsRefused, ExchangeFailed, HubSpotUnavailable
from broker.providers.hubspot.oauth import read_account, read_tokens, says_expired
from broker.providers.oauth import GrantEnded


def body(**fields):
    return json.dumps(fields).encode()


GOOD = {"access_token": "canary-a", "refresh_token": "canary-r", "expires_in": 1800}


@pytest.mark.parametrize(
    ("announced", "lifetime"),
    [
        (1800, 1800),
        (5, 5),
        ("1800", 1800),
        (None, 1800),
        (0, 1800),
        (-5, 1800),
        ("soon", 1800),
        (10**12, 30 * 86_400),
        ([], 1800),
        (float("inf"), 30 * 86_400),
    ],
)
def test_a_lifetime_is_believed_within_reason(announced, lifetime):
    """R9."""
    assert read_tokens(200, body(**{**GOOD, "expires_in": announced})).lifetime == lifetime


def test_a_refresh_token_may_be_left_out():
    """R9."""
    assert read_tokens(200, body(access_token="canary")).refresh_token is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>502</html>",
        b"{",
        b"[]",
        b"null",
        b"[" * 100_000,
        body(error="invalid_grant"),
        body(access_token=""),
        body(access_token=7),
        body(access_token="a\r\nb"),
    ],
)
def test_a_good_status_with_a_bad_body_may_pass(answer):
    """R7."""
    with pytest.raises(HubSpotUnavailable):
        read_tokens(200, answer)


@pytest.mark.parametrize(
    ("status", "answer", "meaning"),
    [
        (400, body(error="invalid_grant", status="BAD_REFRESH_TOKEN"), GrantEnded),
        (400, body(status="BAD_REFRESH_TOKEN"), GrantEnded),
        (400, body(error="access_denied", status="BAD_HUB"), GrantEnded),
        (401, body(error="invalid_grant"), GrantEnded),
        (400, body(error="invalid_client", status="BAD_CLIENT_SECRET"), CredentialsRefused),
        (401, body(error="invalid_client"), CredentialsRefused),
        (400, body(status="BAD_CLIENT_ID"), CredentialsRefused),
        (400, body(error="invalid_request", status="BAD_GRANT_TYPE"), ExchangeFailed),
        (400, b"<html>", HubSpotUnavailable),
        (404, b"", HubSpotUnavailable),
        (429, body(status="error", error="invalid_grant"), HubSpotUnavailable),
        (503, body(error="invalid_grant"), HubSpotUnavailable),
    ],
)
def test_a_refusal_is_classified_by_what_can_be_done(status, answer, meaning):
    with pytest.raises(meaning) as refusal:
        read_tokens(status, answer)

    assert isinstance(refusal.value, CredentialsRefused) == (meaning is CredentialsRefused)


def test_a_token_that_is_not_active_speaks_for_nobody():
    assert read_account(200, body(active=False)) is None
    with pytest.raises(HubSpotUnavailable):
        read_account(200, b"{}")
    with pytest.raises(HubSpotUnavailable):
        read_account(502, b"<html>")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_a_refusal_that_cannot_be_read_says_nothing(encoding):
    """R12, P17."""
    assert not says_expired([("Content-Encoding", encoding)], b"\x00garbage")


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_a_refusal_that_inflates_without_end_is_read_in_part(encoding):
    """2.16: what is read of it says nothing."""
    endless = b'{"category":"EXPIRED_AUTHENTICATION","x":"' + b"x" * 100_000_000 + b'"}'
    body = brotli.compress(endless, quality=1) if encoding == "br" else gzip.compress(endless, 1)
    del endless
    tracemalloc.start()
    try:
        expired = says_expired([("Content-Encoding", encoding)], body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert not expired
    assert peak < 2_000_000
