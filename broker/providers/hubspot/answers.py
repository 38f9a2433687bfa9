"""What HubSpot said, still arriving."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from broker.providers.hubspot.limits import RateLimitInfo


class Chunks(Protocol):
    """A body's raw bytes as they come; `passed` counts those that came, `whole` says that all of
    them are there already.
    """

    bytes_read: int

    @property
    def is_complete(self) -> bool: ...

    def read_buffered(self) -> bytes:
        """What is there and was not read."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...


@dataclass(slots=True)
class Answer:
    """What HubSpot said, still arriving: end-to-end headers and raw body chunks. `rejects_grant`
    says that the access token ran out before its time, which a renewal cures. `limits` is what it
    tells of HubSpot's limits, if anything. Whoever has one closes it.
    """

    status: int
    reason: str
    headers: Sequence[tuple[str, str]]
    chunks: Chunks
    rejects_grant: bool
    limits: RateLimitInfo | None
    retry_after: float | None
    close: Callable[[], None]
