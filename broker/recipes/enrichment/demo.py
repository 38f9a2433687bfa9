"""The demo's stretch about enrichment: a vendor's answer fills a contact, and is billed once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from broker.sandbox.core.serving import Running
from broker.sandbox.enrichment.people import SEED
from broker.sandbox.enrichment.world import Enrichment

KEY = "demo-hunter-key"
START = "/api/recipes/enrichment/demo"

Ask = Callable[..., Awaitable[Any]]
Title = tuple[str, Callable[[aiohttp.ClientSession], Awaitable[str]]]


@dataclass(slots=True)
class EnrichmentScenario:
    """The enrichment of one contact. `ask` calls the broker as the demo does."""

    ask: Ask
    vendors: Running[Enrichment]
    user: str
    known: dict[str, Any] = field(default_factory=dict)

    def steps(self) -> list[Title]:
        return [
            ("Set up the enrichment recipe", self.set_up),
            ("Enrich a contact, twice at once", self.enrich),
        ]

    async def set_up(self, session: aiohttp.ClientSession) -> str:
        self.vendors.world.add_key("hunter", KEY)
        settings = {"vendor": "hunter", "apiKey": KEY, "dailyBudget": 100}
        await self.ask(session, "PUT", "/api/apps/demo/recipes/enrichment", json=settings)
        user = {"userForeignIdentifier": self.user}
        made = await self.ask(session, "POST", f"{START}/setup", json=user)
        checked = await self.ask(session, "POST", f"{START}/check", json=user)
        if not checked["ok"]:
            raise RuntimeError(str(checked["findings"]))
        return f"{len(made['created'])} properties created, nothing to correct"

    async def enrich(self, session: aiohttp.ClientSession) -> str:
        person = SEED[0]
        contact = {"properties": {"email": person.email, "lastname": person.last_name}}
        path = f"/proxy/demo/{self.user}/crm/v3/objects/contacts"
        made = await self.ask(session, "POST", path, json=contact)
        body = {"userForeignIdentifier": self.user, "contactId": made["id"]}
        found, _ = await asyncio.gather(
            *(self.ask(session, "POST", START, json=body) for _ in range(2))
        )
        billed = len(self.vendors.world.billed["hunter"])
        if found["outcome"] != "found" or billed != 1:
            raise RuntimeError(f"{found}, billed {billed} times")
        return f"{person.email}: {', '.join(found['written'])} filled, {billed} lookup billed"
