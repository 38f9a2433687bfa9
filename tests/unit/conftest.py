"""What moves bytes is tried on the loop that serves, too: its transports differ."""

import asyncio

import uvloop


def pytest_asyncio_loop_factories(item):
    """The loops that a test runs on."""
    loops = {"asyncio": asyncio.new_event_loop}
    if item.path.name in {"test_pool.py", "test_around.py", "test_egress.py"}:
        loops["uvloop"] = uvloop.new_event_loop
    return loops
