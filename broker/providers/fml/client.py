"""The only module that opens a connection to First Mile Labs."""

from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from broker.domain.model import Secret
from broker.domain.runs import VendorUnavailable
from broker.domain.vendors import MintedToken
from broker.providers.fml.protocol import (
    CASES_PATH,
    TOKEN_PATH,
    CaseResult,
    read_case,
    read_token,
    token_request,
)
from broker.providers.transport.egress import proxy_for

TOTAL_S = 20.0
CONNECT_S = 5.0
MAX_RESPONSE_BYTES = 262_144


class FirstMileLabs:
    """First Mile Labs over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S),
            trust_env=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def mint(self, client_id: str, client_secret: Secret) -> MintedToken:
        """A fresh token. Raises as `protocol.read_token` does, and VendorUnavailable."""
        return read_token(*await self._post(TOKEN_PATH, token_request(client_id, client_secret)))

    async def create_case(self, token: Secret, key: str, request: Mapping[str, Any]) -> CaseResult:
        """Create a case, or get the one that is there; safe to repeat under one key.

        Raises as `protocol.read_case` does, and VendorUnavailable when the answer was lost.
        """
        headers = {"Authorization": f"Bearer {token.reveal()}", "Idempotency-Key": key}
        return read_case(*await self._post(CASES_PATH, request, headers))

    async def _post(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            async with self._session.post(
                self.url + path,
                json=body,
                headers=headers,
                allow_redirects=False,
                proxy=proxy_for(URL(self.url)),
            ) as response:
                return response.status, response.headers, await _read(response.content)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise VendorUnavailable("First Mile Labs could not be reached.") from error


async def _read(content: aiohttp.StreamReader) -> bytes:
    parts, size = [], 0
    while size < MAX_RESPONSE_BYTES and (part := await content.read(MAX_RESPONSE_BYTES - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
