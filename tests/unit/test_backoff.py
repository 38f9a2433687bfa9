"""Pauses between attempts."""

import pytest

from broker.concurrency.backoff import Backoff


def steady(**rest):
    return Backoff(**rest, jitter=(1.0, 1.0))


def test_pauses_grow_by_the_factor_up_to_the_longest():
    backoff = steady(first=0.5, factor=3, longest=10)

    assert [backoff.pause(n) for n in range(1, 6)] == [0.5, 1.5, 4.5, 10, 10]


def test_a_million_failures_in_a_row_still_have_a_pause():
    assert steady(first=2, longest=60).pause(1_000_000) == 60


def test_a_schedule_is_followed_and_its_last_pause_repeated():
    backoff = steady(schedule=(5, 30, 120))

    assert [backoff.pause(n) for n in (1, 2, 3, 4)] == [5, 30, 120, 120]


def test_a_pause_that_the_other_side_asked_for_is_not_shortened():
    backoff = Backoff(first=1, longest=1)

    assert min(backoff.pause(1, at_least=7) for _ in range(50)) == 7


def test_jitter_spreads_pauses_within_its_bounds():
    pauses = {Backoff(first=10, jitter=(0.5, 1.5)).pause(1) for _ in range(200)}

    assert len(pauses) > 100
    assert min(pauses) >= 5
    assert max(pauses) <= 15


@pytest.mark.parametrize(
    ("backoff", "last"),
    [
        (Backoff(attempts=3), 3),
        (Backoff(attempts=1), 1),
        (Backoff(schedule=(1, 2)), 3),
    ],
)
def test_attempts_end_after_as_many_as_are_allowed(backoff, last):
    assert not backoff.is_exhausted(last - 1)
    assert backoff.is_exhausted(last)


def test_without_a_bound_attempts_never_end():
    assert not Backoff().is_exhausted(1_000_000)
