"""Reading what callers send: the work grows with the bytes, not with their arrangement."""

import json

import pytest

from broker.errors import InvalidRequest
from broker.web.core.requests import read_json, reject_duplicates


class CountedName(str):
    """A name that counts how often it is compared."""

    __slots__ = ()
    comparisons = 0

    def __eq__(self, other):
        CountedName.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_finding_a_repeated_name_compares_each_name_a_few_times():
    names = [CountedName(f"name{number}") for number in range(1000)]
    CountedName.comparisons = 0

    with pytest.raises(InvalidRequest) as refusal:
        reject_duplicates([(name, 1) for name in [*names, CountedName("name7")]])

    assert [error["field"] for error in refusal.value.context["errors"]] == ["name7"]
    assert CountedName.comparisons < 10 * len(names)


def test_a_refusal_names_at_most_fifty_repeated_fields():
    text = "{" + ",".join(f'"a{number % 30_000}":1' for number in range(60_000)) + "}"

    with pytest.raises(InvalidRequest) as refusal:
        read_json(text.encode())

    assert len(refusal.value.context["errors"]) == 50
    assert len(json.dumps(refusal.value.context)) < 5000


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '{"a":{"b":1,"b":1}}', '[{"a":1,"a":1}]'])
def test_a_name_may_stand_once_in_an_object(text):
    with pytest.raises(InvalidRequest):
        read_json(text.encode())
