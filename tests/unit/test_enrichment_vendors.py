"""What enrichment vendors answer, read without a connection."""

import pytest

from broker.domain.vendors import Throttled
from broker.providers.enrichment.base import LookupResponse, VendorUnavailable, retry_after
from broker.providers.enrichment.hunter import HUNTER

LIMIT = b'{"errors":[{"id":"too_many_requests","code":403,"details":"Slow down"}]}'


def test_a_403_of_hunters_is_its_limit_and_a_firewalls_is_not():
    with pytest.raises(Throttled):
        HUNTER.read(LookupResponse(403, {}, LIMIT))
    for body in (b"<html>Forbidden</html>", b"", b"[]"):
        with pytest.raises(VendorUnavailable):
            HUNTER.read(LookupResponse(403, {}, body))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0", 1), ("999999", 3600), ("-1", 5), ("soon", 5), ("\u0663", 5), ("", 5)],
)
def test_a_pause_is_what_the_vendor_says_within_an_hour(value, seconds):
    response = LookupResponse(429, {"retry-after": value}, b"")

    assert retry_after(response, 5.0) == seconds
