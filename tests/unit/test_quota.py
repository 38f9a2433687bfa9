"""Permits, turns and shares of a quota."""

import asyncio
import random
import time
from uuid import uuid4

import pytest

from broker.services.quota.bucket import MAX_WAITING, Bucket
from broker.services.quota.fair_queue import FairQueue
from broker.services.quota.share_sync import Pace
from broker.services.quota.shares import rebalance
from broker.services.quota.sliding_window import SlidingWindow
from broker.stores.proxy.quotas import OtherHolders, QuotaFacts, QuotaName

ALONE = OtherHolders(0, 0, 0)
NAME = QuotaName(uuid4(), uuid4(), 101, "calls")


def test_a_permit_is_free_again_after_the_interval_and_not_before():
    permits = SlidingWindow(10.0)
    permits.free = 2

    assert permits.use(0.0)
    assert permits.use(1.0)
    assert not permits.use(10.0)
    assert permits.use(10.3)
    assert not permits.use(10.9)
    assert permits.use(11.3)


def test_no_window_ever_holds_more_calls_than_permits():
    """F12, L3."""
    rolls = random.Random(5)
    permits, sent, now = SlidingWindow(10.0), [], 0.0
    permits.free = 110

    while now < 120:
        now += rolls.expovariate(60)
        if permits.use(now):
            sent.append(now)

    busiest = max(sum(1 for at in sent if begin <= at < begin + 10) for begin in sent)
    assert busiest <= 110
    assert len(sent) >= 0.95 * 110 * 12


def test_permits_to_be_returned_are_set_aside_as_they_cool_down():
    permits = SlidingWindow(10.0)
    permits.free = 5
    for _ in range(3):
        permits.use(0.0)

    permits.return_permits(4)

    assert (permits.free, permits.returnable, permits.held) == (0, 2, 3)
    permits.sweep(11.0)
    assert (permits.free, permits.returnable, permits.held) == (1, 4, 1)


async def test_users_are_served_in_turn_however_long_their_lines_are():
    """L1."""
    queue, served = FairQueue(), []
    tickets = [(user, queue.join(user)) for user in ["a"] * 50 + ["b"] * 3 + ["c"]]
    for user, ticket in tickets:
        ticket.add_done_callback(lambda _, user=user: served.append(user))

    for _ in range(10):
        assert queue.serve()
        await asyncio.sleep(0)

    assert served == ["a", "b", "c", "a", "b", "a", "b", "a", "a", "a"]


async def test_a_call_that_gives_up_waiting_is_not_served():
    queue = FairQueue()
    first, second = queue.join("a"), queue.join("a")

    queue.leave("a", None, first)

    assert len(queue) == 1
    assert queue.serve()
    assert second.done()
    assert not first.done()
    assert not queue.serve()


async def test_how_many_calls_are_ahead_of_a_new_one():
    queue = FairQueue()
    for user in ["a"] * 50 + ["b"] * 3:
        queue.join(user)

    assert queue.ahead_of("c") == 2
    assert queue.ahead_of("b") == 3 + 4
    assert queue.ahead_of("a") == 50 + 3


async def test_a_key_with_many_waiting_calls_delays_another_key_of_the_same_user_by_one_call():
    """2.17."""
    queue, served = FairQueue(), []
    for lane in ["loud"] * 900 + ["quiet"]:
        queue.join("u", lane).add_done_callback(lambda _, lane=lane: served.append(lane))

    assert queue.ahead_of("u", "quiet") == 3
    for _ in range(2):
        queue.serve()
        await asyncio.sleep(0)

    assert served == ["loud", "quiet"]
    assert queue.ahead_of("u", "new") == 1


async def test_lanes_do_not_weigh_against_other_users():
    queue, served = FairQueue(), []
    for user, lane in [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 1)]:
        queue.join(user, lane).add_done_callback(lambda _, user=user: served.append(user))

    for _ in range(5):
        assert queue.serve()
        await asyncio.sleep(0)

    assert not queue.serve()
    assert served == ["a", "b", "a", "b", "a"]
    assert len(queue) == queue.users == 0


async def test_no_more_than_a_bound_of_calls_waits_for_one_quota():
    bucket = Bucket(NAME, QuotaFacts(1_000_000, 10.0))
    waiters = [bucket.join(uuid4(), None, 3600) for _ in range(MAX_WAITING)]

    assert None not in waiters
    assert bucket.join(uuid4(), None, 3600) is None


async def test_an_exchange_that_waits_for_room_is_no_sign_of_a_silent_database():
    pace = Pace(concurrent=1)

    async with pace.exchange():
        now = time.monotonic()
        assert pace.database_answers(now + 0.5)
        assert not pace.database_answers(now + 1.5)
        pace.record_answer(now + 1.5)
        assert pace.database_answers(now + 2)

    assert pace.database_answers(now + 60)


def test_polls_of_all_quotas_of_a_process_keep_one_pace():
    """A thousand quotas whose calls wait ask the database no more than so often together."""
    pace, now, allowed = Pace(polls_per_second=50), 100.0, 0

    for _ in range(10_000):  # ten seconds, a thousand that would poll each second
        now += 0.001
        allowed += pace.allows_poll(now)

    assert 490 <= allowed <= 500 + 25 + 1


@pytest.mark.parametrize(
    ("size", "held", "in_use", "need", "users", "others", "change"),
    [
        pytest.param(110, 0, 0, 1, 1, ALONE, 55, id="the first takes half"),
        pytest.param(110, 0, 0, 80, 1, ALONE, 80, id="or what it needs"),
        pytest.param(110, 0, 0, 1, 1, OtherHolders(55, 0, 0), 28, id="the next half of the rest"),
        pytest.param(110, 110, 110, 9, 1, ALONE, 0, id="there is no more"),
        pytest.param(110, 55, 5, 0, 1, ALONE, 0, id="no call needs any"),
        pytest.param(
            110, 110, 110, 9, 1, OtherHolders(0, 1, 1), -55, id="half goes to the one that waits"
        ),
        pytest.param(
            110, 110, 110, 9, 1, OtherHolders(0, 2, 2), -73, id="two thirds to two that wait"
        ),
        pytest.param(110, 55, 55, 9, 1, OtherHolders(55, 1, 1), 0, id="even already"),
        pytest.param(
            110, 0, 0, 9, 1, OtherHolders(55, 1, 1), 9, id="takes what it needs of its share"
        ),
        pytest.param(110, 100, 0, 0, 1, OtherHolders(10, 1, 1, 10), -100, id="idle lends all"),
        pytest.param(110, 60, 8, 0, 1, OtherHolders(50, 1, 1, 50), -52, id="slow lends the rest"),
        pytest.param(
            110, 20, 8, 0, 1, OtherHolders(90, 1, 1, 90), -10, id="but a few where more is had"
        ),
        pytest.param(20, 50, 3, 4, 1, OtherHolders(38, 0, 0), -50, id="the quota shrank"),
        pytest.param(190, 10**9, 1, 0, 1, ALONE, 95 - 10**9, id="its size is known at last"),
        pytest.param(110, 55, 55, 9, 3, OtherHolders(55, 1, 1), 0, id="nothing left to take"),
        pytest.param(
            110, 55, 55, 9, 1, OtherHolders(55, 1, 3), -27, id="users count, not processes"
        ),
    ],
)
def test_what_a_process_takes_or_gives(size, held, in_use, need, users, others, change):
    assert rebalance(size, held, in_use, need, users, others) == change
