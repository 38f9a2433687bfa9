"""The only module that opens a connection to an enrichment vendor."""

from collections.abc import Mapping

import aiohttp
from yarl import URL

from broker.domain.model import Secret
from broker.domain.runs import VendorUnavailable
from broker.providers.enrichment.base import (
    EnrichmentVendor,
    Lookup,
    LookupResponse,
    LookupResult,
)
from broker.providers.transport.egress import proxy_for

TOTAL_S = 15.0
CONNECT_S = 5.0
MAX_RESPONSE_BYTES = 1_048_576
NOT_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
)
"""No connection was made, so there is nothing to bill."""


class AnswerLost(Exception):
    """A lookup was sent and no answer came: the vendor may have billed it."""


class EnrichmentClient:
    """The vendors over HTTP."""

    def __init__(self, origins: Mapping[str, str]) -> None:
        """`origins`: where a vendor is reached in place of its own hosts, by its name."""
        self._origins = origins
        self._session = aiohttp.ClientSession(
            # A kept connection that has gone could not be told from a lost answer.
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            middlewares=(_sent_once,),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S),
            trust_env=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def find(self, vendor: EnrichmentVendor, key: Secret, lookup: Lookup) -> LookupResult:
        """One lookup, sent once. Raises AnswerLost when it may have been billed, VendorUnavailable
        when it was not, and Throttled.
        """
        request = vendor.request(lookup)
        origin = self._origins.get(vendor.name)
        base = vendor.origin if origin is None else origin.rstrip("/") + vendor.stand_in_path
        url = URL(base + request.path, encoded=True).with_query(dict(request.query))
        headers = {
            vendor.key_header: f"{vendor.key_prefix}{key.reveal()}",
            "Accept": "application/json",
        }
        try:
            async with self._session.request(
                request.method,
                url,
                json=request.body,
                headers=headers,
                allow_redirects=False,
                proxy=proxy_for(url),
            ) as response:
                names = {name.lower(): value for name, value in response.headers.items()}
                body = await _read(response.content)
                answer = LookupResponse(response.status, names, body)
        except NOT_SENT as error:
            raise VendorUnavailable(f"{vendor.title} could not be reached.") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise AnswerLost from error
        return vendor.read(answer)


async def _sent_once(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Let a lost answer end the request: aiohttp repeats a GET by itself after its own errors, and
    a repeat may be billed.
    """
    try:
        return await send(request)
    except NOT_SENT:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise AnswerLost from error


async def _read(content: aiohttp.StreamReader) -> bytes:
    parts, size = [], 0
    while size < MAX_RESPONSE_BYTES and (part := await content.read(MAX_RESPONSE_BYTES - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
