"""A sandbox xero with a connected app."""

import aiohttp
import pytest

from broker.sandbox.xero.server import serve
from broker.sandbox.xero.world import Xero
from tests.sandbox.xero.client import NOW, NZ, Calls


@pytest.fixture
async def books():
    running = await serve("127.0.0.1", 0, Xero(now=lambda: NOW))
    async with aiohttp.ClientSession() as session:
        calls = Calls(running, session)
        calls.connect(NZ)
        yield calls
    await running.close()
