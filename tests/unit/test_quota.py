"""Places, turns and shares of a quota."""

import asyncio
import random

import pytest

from broker.services.quota.fair_queue import FairQueue
from broker.services.quota.shares import rebalance
from broker.services.quota.sliding_window import SlidingWindow
from broker.stores.proxy.quotas import OtherHolders

ALONE = OtherHolders(0, 0, 0)


def test_a_place_is_free_again_after_the_interval_and_not_before():
    places = SlidingWindow(10.0)
    places.free = 2

    assert places.use(0.0)
    assert places.use(1.0)
    assert not places.use(10.0)
    assert places.use(10.3)
    assert not places.use(10.9)
    assert places.use(11.3)


def test_no_window_ever_holds_more_calls_than_places():
    """F12, L3."""
    rolls = random.Random(5)
    places, sent, now = SlidingWindow(10.0), [], 0.0
    places.free = 110

    while now < 120:
        now += rolls.expovariate(60)
        if places.use(now):
            sent.append(now)

    busiest = max(sum(1 for at in sent if begin <= at < begin + 10) for begin in sent)
    assert busiest <= 110
    assert len(sent) >= 0.95 * 110 * 12


def test_places_that_are_owed_go_when_they_are_free():
    places = SlidingWindow(10.0)
    places.free = 5
    for _ in range(3):
        places.use(0.0)

    places.return_permits(4)

    assert (places.free, places.returnable, places.held) == (0, 2, 3)
    places.sweep(11.0)
    assert (places.free, places.returnable, places.held) == (1, 4, 1)


async def test_users_are_served_in_turn_however_long_their_lines_are():
    """L1."""
    turns, served = FairQueue(), []
    tickets = [(user, turns.join(user)) for user in ["a"] * 50 + ["b"] * 3 + ["c"]]
    for user, ticket in tickets:
        ticket.add_done_callback(lambda _, user=user: served.append(user))

    for _ in range(10):
        assert turns.serve()
        await asyncio.sleep(0)

    assert served == ["a", "b", "c", "a", "b", "a", "b", "a", "a", "a"]


async def test_who_gives_up_waiting_is_not_served():
    turns = FairQueue()
    first, second = turns.join("a"), turns.join("a")

    turns.leave("a", first)

    assert len(turns) == 1
    assert turns.serve()
    assert second.done()
    assert not first.done()
    assert not turns.serve()


def test_how_many_go_before_a_new_call():
    turns = FairQueue()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        for user in ["a"] * 50 + ["b"] * 3:
            turns._queues.setdefault(user, __import__("collections").deque()).append(None)
        assert turns.ahead_of("c") == 2
        assert turns.ahead_of("b") == 3 + 4
        assert turns.ahead_of("a") == 50 + 3
    finally:
        asyncio.set_event_loop(None)
        loop.close()


@pytest.mark.parametrize(
    ("size", "held", "in_use", "need", "users", "others", "change"),
    [
        pytest.param(110, 0, 0, 1, 1, ALONE, 55, id="the first takes half"),
        pytest.param(110, 0, 0, 80, 1, ALONE, 80, id="or what it needs"),
        pytest.param(110, 0, 0, 1, 1, OtherHolders(55, 0, 0), 28, id="the next half of the rest"),
        pytest.param(110, 110, 110, 9, 1, ALONE, 0, id="there is no more"),
        pytest.param(110, 55, 5, 0, 1, ALONE, 0, id="nobody needs any"),
        pytest.param(110, 110, 110, 9, 1, OtherHolders(0, 1, 1), -55, id="half goes to who waits"),
        pytest.param(
            110, 110, 110, 9, 1, OtherHolders(0, 2, 2), -73, id="two thirds to two who wait"
        ),
        pytest.param(110, 55, 55, 9, 1, OtherHolders(55, 1, 1), 0, id="even already"),
        pytest.param(
            110, 0, 0, 9, 1, OtherHolders(55, 1, 1), 9, id="takes what it needs of its share"
        ),
        pytest.param(110, 100, 0, 0, 1, OtherHolders(10, 1, 1), -99, id="idle lends all but one"),
        pytest.param(110, 60, 8, 0, 1, OtherHolders(50, 1, 1), -50, id="slow lends the rest"),
        pytest.param(20, 50, 3, 4, 1, OtherHolders(38, 0, 0), -50, id="the quota shrank"),
        pytest.param(110, 55, 55, 9, 3, OtherHolders(55, 1, 1), 0, id="nothing left to take"),
        pytest.param(
            110, 55, 55, 9, 1, OtherHolders(55, 1, 3), -27, id="users count, not processes"
        ),
    ],
)
def test_what_a_process_takes_or_gives(size, held, in_use, need, users, others, change):
    assert rebalance(size, held, in_use, need, users, others) == change
