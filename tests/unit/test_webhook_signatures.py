"""The signature that several vendors share, against a value computed elsewhere."""

import pytest

from broker.domain.model import Secret
from broker.errors import InvalidRequest, NotAuthenticated
from broker.providers.webhooks import HmacSha256Signature, WebhookHead, read_json

BODY = '{"id":1,"note":"café"}'.encode()
KNOWN = "foEjqc88nIdg5LAnXXzRsDrJnpNZJKbyPLSa9+F3LXU="


def signed(value, *secrets, parts=(BODY,)):
    signature = HmacSha256Signature(value, [Secret(each) for each in secrets])
    for part in parts:
        signature.update(part)
    signature.finish()


@pytest.mark.parametrize("value", [None, "", KNOWN[:-1], KNOWN.lower(), "A" * 43 + "=", KNOWN * 2])
def test_what_is_not_the_signature_of_these_bytes_is_refused(value):
    with pytest.raises(NotAuthenticated):
        signed(value, "hush")


def test_without_a_secret_nothing_is_signed():
    with pytest.raises(NotAuthenticated):
        signed(KNOWN)


def test_another_secret_or_another_byte_is_refused():
    with pytest.raises(NotAuthenticated):
        signed(KNOWN, "hush2")
    with pytest.raises(NotAuthenticated):
        signed(KNOWN, "hush", parts=(BODY, b" "))


def test_one_of_the_secrets_is_enough_however_the_body_arrives():
    signed(KNOWN, "other", "hush", parts=(BODY[:5], BODY[5:]))


def test_a_header_that_stands_twice_counts_as_a_wrong_one():
    head = WebhookHead("POST", "https://b.test/x", [("X-Sig", KNOWN), ("x-sig", KNOWN)])

    assert head.value("x-sig") == ""
    assert head.value("x-other") is None


@pytest.mark.parametrize("body", [b"", b"{", b"[NaN]", b"[1e999]", b"\xff", b"[" * 100_000])
def test_what_is_not_json_with_finite_numbers_is_refused(body):
    with pytest.raises(InvalidRequest):
        read_json(body)
