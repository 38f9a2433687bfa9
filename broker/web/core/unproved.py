"""Bodies of requests that are proved by a signature over the body itself: until it has arrived
the sender is unknown, so all of them together have a budget of memory.
"""

from collections.abc import Callable
from uuid import UUID

from aiohttp import web

from broker.errors import Busy, NotAuthenticated
from broker.web.core.requests import SLUG, read_body

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
        reserved = 0

        def take(part: bytes) -> None:
            nonlocal reserved
            if len(part) > self._free[small]:
                raise Busy("Too many requests are arriving at once.")
            self._free[small] -= len(part)
            reserved += len(part)
            update(part)

        try:
            return await read_body(request, at_most, within=TIMEOUT_S, on_part=take)
        finally:
            self._free[small] += reserved


BODIES = web.AppKey("unproved bodies", UnprovedBodies)


async def read_unproved(
    request: web.Request, at_most: int, update: Callable[[bytes], None] = lambda _: None
) -> bytes:
    """The body of a request that a signature over it is to prove, as `UnprovedBodies.read`."""
    return await request.app[BODIES].read(request, at_most, update)


def signed_app(request: web.Request) -> tuple[UUID, str]:
    """Workspace and lower-case slug in the path of a request that is proved by a signature.

    Raises NotAuthenticated for what cannot be an app, as for one with another secret.
    """
    slug = request.match_info["slug"]
    try:
        workspace_id = UUID(request.match_info["workspace"])
    except ValueError:
        raise NotAuthenticated from None
    if not SLUG.fullmatch(slug):
        raise NotAuthenticated
    return workspace_id, slug.lower()
