"""The broker's own requests to a site: one read that proves a key and finds the REST API."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from broker.domain.model import ProxyCall, Secret
from broker.errors import ExchangeFailed
from broker.providers.calls.headers import HeaderFilter
from broker.providers.calls.upstream import Destinations, encode_call
from broker.providers.oauth import GrantEnded, text_or_none
from broker.providers.transport.api_session import DEADLINE_S, HEADERS, MAX_RESPONSE_BYTES
from broker.providers.transport.failures import Failures, with_deadline
from broker.providers.transport.response import UpstreamResponse
from broker.providers.woocommerce import answers, keys, routes

FAILURES = Failures("The site")

PRETTY, PLAIN = "pretty", "plain"
PROOF = "/wp-json/wc/v3/orders?per_page=1&_fields=id"
ABOUT = "/wp-json/?_fields=name"


@dataclass(frozen=True, slots=True)
class SiteResponse:
    """A response, read to its end."""

    status: int
    location: str
    body: bytes


class SiteClient:
    """Requests to sites, at addresses that are judged at each connect."""

    def __init__(self, destinations: Destinations) -> None:
        self._destinations = destinations
        self._headers = HeaderFilter()

    async def prove(self, site: str, pair: Secret) -> str:
        """Whether a site accepts a key pair: its kind of permalinks.

        Raises GrantEnded for a key that it does not accept, ExchangeFailed for what is no
        WooCommerce, ProviderUnavailable or ProviderTimeout when another attempt may help.
        """
        for permalinks, target in ((PRETTY, PROOF), (PLAIN, routes.plain_target(PROOF))):
            response = await self._get(site, target, pair)
            status, body = response.status, response.body
            if answers.accepts_key(status, body):
                return permalinks
            if answers.rejects_key(status, body):
                raise GrantEnded("key-refused")
            if 300 <= status < 400:
                raise ExchangeFailed(_moved(response.location))
            if status in {429, 503} or status >= 500:
                raise FAILURES.unavailable("The site did not answer as WooCommerce just now.")
            if answers.is_wordpress(body):
                raise ExchangeFailed("The site's REST API has no WooCommerce.")
        raise ExchangeFailed("The site has no REST API that can be reached.")

    async def name(self, site: str, permalinks: str) -> str | None:
        """The site's title, where it says one."""
        target = ABOUT if permalinks == PRETTY else routes.plain_target(ABOUT)
        response = await self._get(site, target, None)
        if response.status != 200:
            return None
        return text_or_none(answers.read_object(response.body).get("name"))

    async def _get(self, site: str, target: str, pair: Secret | None) -> SiteResponse:
        destination = self._destinations.at(site)
        call = ProxyCall("", "", "GET", target, list(HEADERS.items()), None)
        credentials = () if pair is None else (keys.basic(pair),)
        request, _ = encode_call(call, destination, self._headers, credentials)

        async def ask() -> SiteResponse:
            response = await destination.pool.send(
                request, None, DEADLINE_S, bodiless=False, repeats=True
            )
            try:
                body = await _read(response)
            finally:
                response.close()
            return SiteResponse(response.status, response.headers.get("location", ""), body)

        try:
            return await with_deadline(DEADLINE_S, ask())
        except (OSError, TimeoutError) as error:
            raise FAILURES.refusal(error) from error


async def _read(response: UpstreamResponse) -> bytes:
    parts, size = [], 0
    while size < MAX_RESPONSE_BYTES and (part := await response.read()):
        parts.append(part)
        size += len(part)
    return b"".join(parts)[:MAX_RESPONSE_BYTES]


def _moved(location: str) -> str:
    """What to do about a redirect, which would take the key elsewhere."""
    parts = urlsplit(location) if location.isprintable() else None
    where = f" to {parts.scheme}://{parts.netloc}" if parts and parts.netloc else ""
    return f"The site redirects{where}; make the link with the address at which it answers."
