"""When events say that a grant ends."""

from datetime import UTC, datetime, timedelta

import pytest

from broker.domain.end_notices import first_notice, notice_of
from broker.domain.grants import Tokens
from broker.domain.model import Secret

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = 86_400


def days(number):
    return timedelta(days=number)


@pytest.mark.parametrize(
    ("idle", "life", "first"),
    [
        (None, None, None),
        (100, None, 70),
        (60, None, 30),
        (30, None, 23),  # an end that every renewal moves is no news at once
        (1, None, None),
        (100, 1826, 70),
        (100, 90, 60),
        (20, 20, 13),
        (None, 0.5, None),
    ],
)
def test_the_first_notice_is_a_number_of_days_before_the_nearer_end(idle, life, first):
    tokens = Tokens(
        Secret("token"),
        None,
        3600.0,
        refresh_expires_in=None if idle is None else idle * DAY,
        ends_in=None if life is None else life * DAY,
    )

    found = first_notice(tokens)

    assert found == (None if first is None else days(first))


def test_a_notice_says_the_nearer_end_and_plans_the_next():
    notice = notice_of(NOW, NOW + days(30), NOW + days(400))

    assert (notice.ends_at, notice.why) == (NOW + days(30), "idle")
    assert notice.next_at == NOW + days(23)


def test_an_end_that_moved_away_is_not_said():
    notice = notice_of(NOW, NOW + days(100), None)

    assert notice.ends_at is None
    assert notice.next_at == NOW + days(70)


def test_the_end_of_a_lifetime_is_called_that_though_the_idle_time_ends_with_it():
    notice = notice_of(NOW, NOW + days(7), NOW + days(7))

    assert (notice.ends_at, notice.why, notice.next_at) == (
        NOW + days(7),
        "lifetime",
        NOW + days(6),
    )


def test_the_last_notice_plans_no_other():
    notice = notice_of(NOW, None, NOW + days(1))

    assert (notice.ends_at, notice.next_at) == (NOW + days(1), None)
