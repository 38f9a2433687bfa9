"""Bodies of requests that are proved by a signature over the body itself: until it has arrived
nobody knows who sends it, so all of them together have a budget of memory.
"""

from collections.abc import Callable

from aiohttp import web

from broker.errors import Busy
from broker.web.core.requests import read_body

TIMEOUT_S = 10.0
"""How long such a body may take: HubSpot waits five seconds for the whole answer."""

SMALL_BYTES = 262_144
"""Up to here a body is small; nearly all of a vendor's are."""

SMALL_BUDGET = 16 * 1_048_576
LARGE_BUDGET = 48 * 1_048_576
"""How many bytes small and large bodies may hold: large ones leave room for the small."""


class UnprovedBodies:
    """Reads bodies of senders who are not proved yet, within one budget for the process."""

    def __init__(self, small_budget: int = SMALL_BUDGET, large_budget: int = LARGE_BUDGET) -> None:
        self._free = {True: small_budget, False: large_budget}

    async def read(
        self, request: web.Request, at_most: int, update: Callable[[bytes], None]
    ) -> bytes:
        """The body, with each part of it handed to `update` as it arrives.

        Raises Busy when the budget is used up, and as `read_body` does.
        """
        length = request.content_length
        small = length is not None and length <= SMALL_BYTES
        held = 0

        def take(part: bytes) -> None:
            nonlocal held
            if len(part) > self._free[small]:
                raise Busy("Too many requests are arriving at once.")
            self._free[small] -= len(part)
            held += len(part)
            update(part)

        try:
            return await read_body(request, at_most, within=TIMEOUT_S, on_part=take)
        finally:
            self._free[small] += held
