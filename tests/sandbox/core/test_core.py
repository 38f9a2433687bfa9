"""What simulated vendors share: decimal JSON, signatures, deliveries."""

from decimal import Decimal

import pytest

from broker.sandbox.core.decimals import amount, dumps, loads, rounded
from broker.sandbox.core.deliveries import signature


def test_a_signature_is_base64_of_hmac_sha256_over_the_raw_bytes():
    body = '{"id":1,"note":"café"}'.encode()
    assert signature("hush", body) == "foEjqc88nIdg5LAnXXzRsDrJnpNZJKbyPLSa9+F3LXU="


def test_amounts_are_numbers_on_the_wire_with_all_their_digits():
    text = '{"a":10.10,"b":[0.1,12345678901234567.89,3],"c":"x","d":null,"e":true}'
    read = loads(text)
    assert read["a"] == Decimal("10.10")
    assert dumps(read) == text


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_numbers_outside_json_are_refused(text):
    with pytest.raises(ValueError, match=text):
        loads(f'{{"a": {text}}}')


@pytest.mark.parametrize(
    ("value", "read"),
    [(1, 1), ("2.50", Decimal("2.50")), (True, None), (None, None), ("x", None), ("NaN", None)],
)
def test_an_amount_is_a_number_or_a_string_that_holds_one(value, read):
    assert amount(value) == read


def test_halves_are_rounded_away_from_zero():
    assert [rounded(Decimal(each)) for each in ("0.005", "-0.005", "1.115")] == [
        Decimal("0.01"),
        Decimal("-0.01"),
        Decimal("1.12"),
    ]
