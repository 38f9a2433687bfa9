"""Rate limits of the sandbox Xero."""

import asyncio

from tests.sandbox.xero.client import NZ, UK


async def test_limits_by_minute_day_and_app_name_themselves_and_the_wait(books):
    books.levers.minute_limit, books.levers.day_limit = 2, 3
    await books.ok("GET", "Contacts")
    assert (books.headers["X-MinLimit-Remaining"], books.headers["X-DayLimit-Remaining"]) == (
        "1",
        "2",
    )
    assert books.headers["X-AppMinLimit-Remaining"] == "9999"
    await books.ok("GET", "Contacts")
    assert (await books.call("GET", "Contacts"))[0] == 429
    assert books.headers["X-Rate-Limit-Problem"] == "minute"
    assert 1 <= int(books.headers["Retry-After"]) <= 61
    books.world.jump(61)
    await books.ok("GET", "Contacts")
    books.world.jump(61)
    assert (await books.call("GET", "Contacts"))[0] == 429
    assert books.headers["X-Rate-Limit-Problem"] == "day"
    assert int(books.headers["Retry-After"]) > 40_000


async def test_the_app_has_a_limit_over_all_organisations(books):
    books.connect(NZ, UK)
    books.levers.app_minute_limit = 1
    await books.ok("GET", "Contacts")
    assert (await books.call("GET", "Contacts", tenant=UK))[0] == 429
    assert books.headers["X-Rate-Limit-Problem"] == "appminute"


async def test_a_sixth_call_at_once_is_refused(books):
    books.levers.work = 0.2
    statuses = [
        each[0] for each in await asyncio.gather(*(books.call("GET", "Contacts") for _ in range(6)))
    ]
    assert sorted(statuses) == [200, 200, 200, 200, 200, 429]
