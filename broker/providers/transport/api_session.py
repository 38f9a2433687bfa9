"""Requests of the broker's own to a provider: tokens, accounts, subscriptions. They are few."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from broker.providers.transport.egress import proxy_for
from broker.providers.transport.failures import Failures, with_deadline

DEADLINE_S = 8.0
"""How long a request may take; a renewal holds a row lock meanwhile."""

MAX_RETRY_AFTER_S = 60
"""The longest `Retry-After` of a 429 that is believed."""

MAX_RESPONSE_BYTES = 262_144

HEADERS = {
    "Accept": "application/json",
    # Some middleboxes compress whatever does not say that it must come as it is.
    "Accept-Encoding": "identity",
    # Providers' edges refuse clients without a name.
    "User-Agent": "hubspot-broker",
}


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A response, read to its end; names of `headers` have no case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ApiSession:
    """Requests to one provider, without cookies, redirects or anything added."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        # It decompresses: what is asked for uncompressed may still come compressed.
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        at_most: int = MAX_RESPONSE_BYTES,
    ) -> ApiResponse:
        """The response, with so many bytes of its body at most.

        Raises the provider's errors: for a 429 without a cause and with its `retry_after`; with a
        cause when there is no response, or none that can be read.
        """

        async def ask() -> ApiResponse:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                data=None if form is None else urlencode(form).encode(),
                json=json,
                headers={
                    **HEADERS,
                    **({} if form is None else FORM),
                    **(headers or {}),
                },
                allow_redirects=False,
                proxy=proxy_for(URL(url)),
                timeout=aiohttp.ClientTimeout(total=None),
            ) as response:
                if response.status == 429:
                    wait = response.headers.get("Retry-After", "")
                    seconds = int(wait[:5]) if wait.isascii() and wait.isdecimal() else 0
                    raise self._failures.unavailable(
                        f"{self._failures.label} is rate limiting requests of the broker.",
                        retry_after=min(seconds, MAX_RETRY_AFTER_S) or None,
                    )
                body = await _read(response.content, at_most)
                return ApiResponse(response.status, response.headers, body)

        try:
            return await with_deadline(DEADLINE_S, ask())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._failures.refusal(error) from error


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def _read(content: aiohttp.StreamReader, at_most: int) -> bytes:
    parts, size = [], 0
    while size < at_most and (part := await content.read(at_most - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
