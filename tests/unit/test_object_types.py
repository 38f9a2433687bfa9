"""Events of changed properties as recipes compare them."""

import pytest

from broker.crm.object_types import change_of
from broker.domain.events import ProviderEvent
from broker.domain.runs import RecordChange

EVENT = {"objectId": 1, "propertyName": "kyb_state"}


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ({"propertyValue": "true"}, "true"),
        ({"propertyValue": True}, "true"),
        ({"propertyValue": False}, "false"),
        ({"propertyValue": 12}, "12"),
        ({"propertyValue": "None"}, "None"),
        ({"propertyValue": None}, ""),
        ({"propertyValue": ""}, ""),
        ({}, ""),
    ],
)
def test_a_value_is_compared_as_hubspot_writes_it_and_nothing_is_no_text(sent, value):
    """F19: neither JSON's null nor its true has a spelling of Python's."""
    event = ProviderEvent("company.propertyChange", "101", None, {**EVENT, **sent}, (b"",))

    assert change_of(event) == RecordChange("0-2", "1", "kyb_state", value)
