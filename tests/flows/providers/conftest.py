"""Sandboxes of the accounting systems, and a user's way through their consent."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.sandbox.core.serving import Running
from broker.sandbox.quickbooks.server import serve as serve_quickbooks
from broker.sandbox.salesforce.server import RunningSalesforce
from broker.sandbox.salesforce.server import serve as serve_salesforce
from broker.sandbox.xero.server import serve as serve_xero
from tests.fixtures.broker_client import RETURN_URL, Answered, BrokerUnderTest
from tests.flows.providers.orgs import BOB, Orgs
from tests.flows.providers.shops import Shops


@dataclass
class Books:
    """A vendor's sandbox with a broker before it: an app, links, consent, calls."""

    provider: str
    running: Running[Any]
    broker: BrokerUnderTest
    slug: str = "books"
    app: dict[str, Any] = field(default_factory=dict)

    @property
    def world(self) -> Any:
        return self.running.world

    async def registers(self, scopes: list[str], **changes: Any) -> Answered:
        """Register the app, here and at the vendor."""
        body = {
            "slug": self.slug,
            "provider": self.provider,
            "clientId": f"{self.provider}-client",
            "clientSecret": f"canary-{self.provider}-secret",
            "scopes": scopes,
            "returnUrls": [RETURN_URL],
            **changes,
        }
        answer = await self.broker.asks("POST", "/api/apps", json=body)
        if answer.status == 201:
            self.app = answer.json()
            self.world.register_app(
                body["clientId"], body["clientSecret"], [self.app["redirectUrl"]]
            )
        return answer

    async def links(self, user: str = "u1", **query: str) -> str:
        """A fresh install link."""
        answer = await self.broker.asks(
            "GET",
            f"/api/{self.provider}/auth/{self.slug}",
            params={"userForeignIdentifier": user, **query},
        )
        assert answer.status == 200, answer.body
        url = str(answer.json()["url"])
        self.broker.secrets.append(parse_qs(urlsplit(url).query)["state"][0])
        return url

    async def consents(self, url: str, chosen: Any) -> str:
        """Consent at the vendor; the callback's address with its code and state."""
        self.world.levers.auto_consent = chosen
        answer = await self.broker.asks("GET", url, key="")
        assert answer.status in {302, 303}, answer.body
        return str(answer.headers["Location"])

    async def connects(self, chosen: Any, user: str = "u1", **query: str) -> Answered:
        """The whole way: link, consent, callback; the callback's answer."""
        back = await self.consents(await self.links(user, **query), chosen)
        return await self.broker.asks("GET", back, key="")

    async def shows(self, user: str = "u1") -> dict[str, Any]:
        answer = await self.broker.asks("GET", f"/api/apps/{self.slug}/connections/{user}")
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.json()
        return found

    async def proxies(
        self, path: str, user: str = "u1", method: str = "GET", **rest: Any
    ) -> Answered:
        """A transparent call as a user, for JSON."""
        headers = {"Accept": "application/json", **rest.pop("headers", {})}
        return await self.broker.asks(
            method, f"/proxy/{self.slug}/{user}{path}", headers=headers, **rest
        )


@pytest.fixture
async def quickbooks_sandbox() -> AsyncIterator[Running[Any]]:
    """QuickBooks Online with a company in the US and one in the UK."""
    running = await serve_quickbooks("127.0.0.1", 0)
    yield running
    await running.close()


@pytest.fixture
async def xero_sandbox() -> AsyncIterator[Running[Any]]:
    """Xero with an organisation in New Zealand and one in the UK."""
    running = await serve_xero("127.0.0.1", 0)
    running.world.levers.minute_limit = 1000
    yield running
    await running.close()


@pytest.fixture
async def shopify_sandbox() -> AsyncIterator[Running[Any]]:
    """Shopify with two shops that consent at once."""
    pytest.importorskip("graphql", reason="graphql-core is not installed")
    from broker.sandbox.shopify.server import serve as serve_shopify  # noqa: PLC0415  # it needs it

    running = await serve_shopify("127.0.0.1", 0)
    for name in ("acme", "other"):
        running.world.add_shop(name)
    running.world.levers.auto_consent = True
    yield running
    await running.close()


async def sends_events_to(books: Books, receiver: Any, secret: str) -> None:
    """Have the vendor send the app's webhooks, and the app's events go to a receiver."""
    broker = books.broker
    path = f"/api/apps/{books.slug}"
    changed = await broker.asks("PATCH", path, json={"webhookSecret": secret})
    assert changed.status == 200, changed.body
    assert secret not in changed.body.decode()
    answer = await broker.sends_to(f"{receiver.url}/events", f"{books.provider}.*", slug=books.slug)
    assert answer.status == 201, answer.body


@pytest.fixture
async def shops(start_broker: Any, shopify_sandbox: Running[Any]) -> Shops:
    """A broker with the app `shop` at Shopify."""
    url = f"{shopify_sandbox.url}/shops/{{shop}}"
    broker = await start_broker(shopify_url=url, allow_private_endpoints=True)
    await broker.makes_workspace()
    shops = Shops(shopify_sandbox, broker)
    assert (await shops.registers()).status == 201
    return shops


@pytest.fixture
async def salesforce_sandbox() -> AsyncIterator[RunningSalesforce]:
    """Salesforce with the production orgs of Acme and Globex."""
    running = await serve_salesforce("127.0.0.1", 0, seed=True)
    await running.addresses.add_org("globex", BOB)
    yield running
    await running.close()


@pytest.fixture
async def orgs(start_broker: Any, salesforce_sandbox: RunningSalesforce) -> AsyncIterator[Orgs]:
    """A broker with the app `crm` at Salesforce, whose users log in at the common host."""
    broker = await start_broker(salesforce_url=salesforce_sandbox.login_url)
    await broker.makes_workspace()
    orgs = Orgs(salesforce_sandbox, broker)
    assert (await orgs.registers()).status == 201
    yield orgs
    orgs.add_issued_secrets()
