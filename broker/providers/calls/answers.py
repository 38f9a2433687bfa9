"""A provider's answer to a call, while it arrives."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from broker.providers.calls.limits import RateLimitInfo
from broker.providers.transport.headers import Headers


class Chunks(Protocol):
    """A body's raw bytes as they come; `bytes_read` counts those that came, `is_complete` says that
    all of them are there already.
    """

    bytes_read: int

    @property
    def is_complete(self) -> bool: ...

    def read_buffered(self) -> bytes:
        """What is there and was not read."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...


MAX_REQUEST_ID = 200


@dataclass(slots=True)
class Answer:
    """A provider's answer while it arrives: end-to-end headers and raw body chunks.

    `rejects_grant`: the access token is no longer accepted, which a renewal cures. `limits` is what
    the answer says of limits, if anything. `throttled`: it is a refusal for a limit although its
    status is not 429. `request_id` is the provider's. Whoever has an answer closes it.
    """

    status: int
    reason: str
    headers: Headers
    chunks: Chunks
    rejects_grant: bool
    limits: RateLimitInfo | None
    retry_after: float | None
    close: Callable[[], None]
    throttled: bool = False
    request_id: str | None = None


REQUEST_ID = "x-request-id"


def request_id_in(headers: Mapping[str, str], name: str = REQUEST_ID) -> str | None:
    """The provider's id of the request, by which its support finds it: of a header by its name in
    lower case.
    """
    found = headers.get(name)
    return None if found is None or len(found) > MAX_REQUEST_ID else found
