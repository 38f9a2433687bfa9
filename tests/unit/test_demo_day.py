"""The day of calls that the demo makes up: like a real one, and inside the call log's own rules."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import uuid4

import pytest

from broker.cli.demo_day import CALLS, LEFT, LEFT_AGO, SHARE_OF_USER, Logged, past_calls
from broker.providers.hubspot.templates import template_of

NOW = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def logged():
    return Logged(uuid4(), uuid4(), uuid4(), {user: uuid4() for user in SHARE_OF_USER})


@pytest.fixture(scope="module")
def day(logged):
    return list(past_calls(NOW, logged, Random(1)))


def test_every_call_is_in_the_last_24_hours_and_of_a_connected_user(day, logged):
    oldest = (NOW - timedelta(days=1)).timestamp()

    assert len(day) == CALLS
    assert all(oldest <= call.at < NOW.timestamp() for call in day)
    assert {call.user_ref for call in day} == set(SHARE_OF_USER)
    assert all(call.connection_id == logged.connections[call.user_ref] for call in day)
    assert len({call.request_id for call in day}) == CALLS


def test_office_hours_are_busier_than_the_night_and_no_hour_is_empty(day):
    by_hour = Counter(datetime.fromtimestamp(call.at, UTC).hour for call in day)

    assert set(by_hour) == set(range(24))
    assert min(by_hour[10], by_hour[15]) > 2 * max(by_hour[2], by_hour[3])


def test_most_calls_work_and_each_way_to_fail_occurs(day):
    kinds = Counter((call.status, call.error) for call in day)

    assert sum(call.status < 300 for call in day) > 0.9 * CALLS
    assert {(404, None), (400, None), (429, None), (429, "quota-exhausted"), (502, None)} <= {
        *kinds
    }


def test_paths_are_as_the_call_log_writes_them(day):
    for path in {call.path for call in day}:
        assert template_of(path.replace("{id}", "4711")) == path


def test_a_user_whose_company_left_is_not_called_for_any_more(day):
    last = max(call.at for call in day if call.user_ref == LEFT)

    assert last <= (NOW - LEFT_AGO).timestamp()


def test_the_same_seed_makes_the_same_day(day, logged):
    assert list(past_calls(NOW, logged, Random(1))) == day
