"""Sandboxes of the accounting systems, and a user's way through their consent."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.sandbox.core.serving import Running
from broker.sandbox.quickbooks.server import serve as serve_quickbooks
from tests.fixtures.broker_client import RETURN_URL, Answered, BrokerUnderTest


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
