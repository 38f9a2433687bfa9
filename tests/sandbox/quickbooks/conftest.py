"""A sandbox quickbooks with a connected app."""

import aiohttp
import pytest

from broker.sandbox.quickbooks.server import serve
from broker.sandbox.quickbooks.world import QuickBooks
from tests.sandbox.quickbooks.client import NOW, Calls


@pytest.fixture
async def books():
    running = await serve("127.0.0.1", 0, QuickBooks(now=lambda: NOW))
    async with aiohttp.ClientSession() as session:
        calls = Calls(running, session)
        calls.connect()
        yield calls
    await running.close()
