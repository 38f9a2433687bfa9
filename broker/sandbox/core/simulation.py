"""What every simulated vendor has: a clock that can be moved, faults, and a memory of requests."""

import asyncio
import hashlib
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from broker.sandbox.core.clock import Clock
from broker.sandbox.core.faults import Faults, strike

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answering = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]
# Their values are stored as hashes, so that a list of requests can be shown.
SECRET_HEADERS = frozenset({"authorization", "cookie", "x-api-key"})
SECRET_QUERY = re.compile(r"(?<=[?&]api_key=)[^&]+")
REMEMBERED_REQUESTS = 5_000


@dataclass(slots=True)
class Seen:
    """A request as it arrived, with hashes in place of secrets. `status` is 0 until answered."""

    method: str
    target: str
    headers: dict[str, str]
    body: str
    at: float
    status: int = 0


class Simulation(Clock):
    """State that does not depend on the vendor. `latency` is in seconds, before every answer."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self.latency = 0.0
        self.faults = Faults()
        self.seen: deque[Seen] = deque(maxlen=REMEMBERED_REQUESTS)
        self.counters: dict[str, int] = {}

    def moment(self) -> datetime:
        """The present, in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def count(self, name: str) -> None:
        """Add one to a counter."""
        self.counters[name] = self.counters.get(name, 0) + 1


def application(
    simulation: Simulation, answering: Answering, own_pages: tuple[str, ...], token_paths: str
) -> web.Application:
    """An application whose requests are recorded and struck by faults.

    `answering` calls a handler and shapes refusals as the vendor does. Paths that begin with one
    of `own_pages`, `/` and `/_sandbox` are not the vendor's API: no fault strikes them. Bodies of
    paths that contain `token_paths` are stored as hashes only.
    """

    @web.middleware
    async def play(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/" or request.path.startswith(("/_sandbox", *own_pages)):
            return await handler(request)
        seen = _seen(request, await request.read(), simulation.now(), token_paths)
        simulation.seen.append(seen)
        if simulation.latency:
            await asyncio.sleep(simulation.latency)
        fault = simulation.faults.striking(request)
        if fault is None:
            response = await answering(request, handler)
        else:
            response = await strike(fault, request, lambda passed: answering(passed, handler))
        seen.status = response.status
        return response

    return web.Application(middlewares=[play], client_max_size=4 * 1_048_576)


def _seen(request: web.Request, body: bytes, at: float, token_paths: str) -> Seen:
    headers = {
        name: digest(value) if name.lower() in SECRET_HEADERS else value
        for name, value in request.headers.items()
    }
    secret = token_paths in request.path
    text = digest(body.decode(errors="replace")) if secret else body.decode(errors="replace")
    target = SECRET_QUERY.sub(lambda match: digest(match[0]), request.raw_path)
    return Seen(request.method, target, headers, text, at)


def digest(secret: str) -> str:
    """The beginning of a secret's SHA-256, to show in its place."""
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()[:16]}"
