"""Waiting for a condition, with an end."""

import asyncio
import inspect


async def until(condition, within=20.0):
    """Wait until `condition()`, which may be a coroutine, is true; its value. Raises TimeoutError
    after so many seconds.
    """
    async with asyncio.timeout(within):
        while True:
            found = condition()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.01)


async def accepts(port):
    """Whether a server takes connections at a port of this machine."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
