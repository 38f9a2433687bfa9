"""A vendor's rate limit as replicas share it: slots in Postgres, whatever the replicas' clocks."""

import asyncio
from uuid import UUID

import pytest

from broker.domain.model import Secret
from broker.domain.vendors import VendorAccount
from broker.stores.recipes.vendors import VendorClients


def account(limit):
    return VendorAccount(UUID(int=1), "acme", "Acme", "client", Secret("s"), calls_a_minute=limit)


@pytest.fixture
def clients(broker, second_broker):
    """The stores of two replicas."""
    return [VendorClients(each.parts.database, None) for each in (broker, second_broker)]


async def slots(clients, limit, count):
    """Reserve slots from both replicas at once; each slot's moment in seconds, in order."""
    reserved = await asyncio.gather(
        *(clients[n % 2].reserve_slot(account(limit), "call") for n in range(count))
    )
    return sorted(slot for slot, _ in reserved), max(now for _, now in reserved)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 30, 120, 1200])
async def test_no_minute_holds_more_calls_than_the_limit(clients, limit):
    at, _ = await slots(clients, limit, min(2 * limit + 3, 400))

    for number in range(limit, len(at)):
        assert at[number] - at[number - limit] > 60, number


@pytest.mark.parametrize("limit", [30, 120])
async def test_a_long_queue_uses_at_least_four_fifths_of_the_limit(clients, limit):
    at, _ = await slots(clients, limit, 3 * limit)

    assert (at[-1] - at[0]) / 60 * limit < 3 * limit / 0.8


async def test_a_fifth_of_a_minutes_calls_may_come_at_once(clients):
    at, now = await slots(clients, 100, 21)

    assert all(each <= now for each in at[:20])
    assert 0.5 < at[20] - at[0] < 1.5


async def test_nothing_is_reserved_before_a_pause_ends(clients):
    await slots(clients, 100, 1)
    await clients[0].pause(account(100), "call", 300)
    until, now = await clients[1].paused_until(account(100), "call")

    at, _ = await slots(clients, 100, 30)

    assert 295 < until - now < 301
    assert min(at) >= until - 0.001


async def test_two_clients_and_two_kinds_do_not_share_a_limit(clients):
    await slots(clients, 5, 10)
    _, now = await clients[0].reserve_slot(account(5), "token")
    slot, _ = await clients[0].reserve_slot(account(5), "token")

    assert slot - now < 1
