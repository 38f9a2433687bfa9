"""Permits for renewals."""

import asyncio

import pytest

from broker.services.grants.permits import RenewalPermits


async def test_a_caller_is_served_before_background_work_that_came_first():
    """Review 19."""
    permits, order, gate = RenewalPermits(2, 2), [], asyncio.Event()

    async def hold(name, *, background):
        async with permits.hold(background=background):
            order.append(name)
            await gate.wait()

    running = [asyncio.create_task(hold(f"b{n}", background=True)) for n in range(6)]
    await asyncio.sleep(0)
    running.append(asyncio.create_task(hold("caller", background=False)))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*running)

    assert order[:3] == ["b0", "b1", "caller"]


async def test_background_work_leaves_permits_to_callers():
    permits, gate = RenewalPermits(3, 2), asyncio.Event()

    async def hold(*, background):
        async with permits.hold(background=background):
            await gate.wait()

    waiting = [asyncio.create_task(hold(background=True)) for _ in range(10)]
    await asyncio.sleep(0)
    async with asyncio.timeout(1), permits.hold(background=False):
        pass
    gate.set()
    await asyncio.gather(*waiting)


async def test_a_permit_is_not_lost_with_whoever_gave_up_waiting():
    permits = RenewalPermits(1, 1)
    async with permits.hold(background=False):
        waiting = [
            asyncio.create_task(permits.hold(background=background).__aenter__())
            for background in (False, True)
        ]
        await asyncio.sleep(0)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async with asyncio.timeout(1):
        for background in (True, False, True):
            async with permits.hold(background=background):
                pass


async def test_a_permit_that_is_granted_as_its_holder_is_cancelled_goes_to_the_next():
    permits = RenewalPermits(1, 1)
    entered = permits.hold(background=False)
    await entered.__aenter__()
    waiting = asyncio.create_task(permits.hold(background=False).__aenter__())
    await asyncio.sleep(0)
    await entered.__aexit__(None, None, None)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    async with asyncio.timeout(1), permits.hold(background=False):
        pass
