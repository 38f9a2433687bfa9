"""Ids in the order of time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from broker.domain import uuid7 as ids

NOW = datetime(2026, 3, 4, 5, 6, 7, 891_000, tzinfo=UTC)
NOW_MS = 1_772_600_767_891


def test_an_id_is_a_uuid_of_version_7_of_its_millisecond():
    made = ids.IdSequence().next(NOW_MS)

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert ids.time_of(made) == NOW
    other = ids.another_uuid7_of(made)
    assert (other.version, other.variant) == (7, "specified in RFC 4122")
    assert ids.ids_of_the_same_moment(made) == ids.ids_of_the_same_moment(other)
    assert abs(ids.time_of(ids.uuid7()) - datetime.now(UTC)) < timedelta(minutes=1)


def test_each_id_is_greater_than_the_one_before_also_when_the_clock_goes_back():
    sequence = ids.IdSequence()
    clock = [NOW_MS] * 5000 + [NOW_MS - 59_000] * 100 + [NOW_MS + 1]

    made = [sequence.next(at) for at in clock]

    assert made == sorted(set(made))
    assert all(each.version == 7 for each in made)
    far_behind = sequence.next(NOW_MS - 3_600_000)
    assert ids.time_of(far_behind) == NOW - timedelta(hours=1)


def test_threads_get_different_ids():
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: ids.uuid7(), range(2000)))

    assert len(set(made)) == 2000


@pytest.mark.parametrize(
    ("moment", "milliseconds"),
    [
        (NOW, NOW_MS),
        (NOW + timedelta(microseconds=1), NOW_MS + 1),
        (NOW - timedelta(microseconds=1), NOW_MS),
        (datetime(1969, 1, 1, tzinfo=UTC), 0),
        (datetime(9999, 12, 31, tzinfo=UTC), 253_402_214_400_000),
    ],
)
def test_the_first_id_of_a_moment_is_after_all_earlier_ones(moment, milliseconds):
    assert ids.first_id(moment) == UUID(int=milliseconds << 80)


def test_the_time_of_any_id_can_be_shown():
    assert ids.time_of(ids.LAST_ID).year == 9999
    assert ids.time_of(UUID(int=0)) == ids.EPOCH
