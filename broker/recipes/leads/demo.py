"""The demo's stretch about leads: a contact becomes a lead of Salesforce, and an edit of the lead
comes back to the contact.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from broker.recipes.leads.models import LeadsSettings
from broker.recipes.leads.requests import PROVIDER
from broker.sandbox.core.serving import Running
from broker.sandbox.hubspot.world import Sandbox
from broker.sandbox.salesforce.records import writes
from broker.sandbox.salesforce.records.rules import Caller
from broker.sandbox.salesforce.schema.fields import Field
from broker.sandbox.salesforce.world import ADMIN, Salesforce

CLIENT_ID, CLIENT_SECRET = "demo-crm", "demo-crm-secret"
SCOPES = ["api", "refresh_token"]
SETTINGS = LeadsSettings(salesforceApp="crm", pollSeconds=30)
EVENTS = ("contact.creation", "contact.deletion")
PORTAL = 101
TIMEOUT_S = 60.0
PERSON = {
    "email": "mary@navy.example",
    "firstname": "Mary",
    "lastname": "Keller",
    "company": "Navy Research",
}
TITLE = "Head of Computing"

Ask = Callable[..., Awaitable[Any]]
Title = tuple[str, Callable[[aiohttp.ClientSession], Awaitable[str]]]


@dataclass(slots=True)
class LeadsScenario:
    """One change in each direction, step by step. `ask` calls the broker as the demo does."""

    ask: Ask
    hubspot: Sandbox
    salesforce: Running[Salesforce]
    user: str
    known: dict[str, Any] = field(default_factory=dict)

    def steps(self) -> list[Title]:
        return [
            ("Connect the user's Salesforce org", self.connect),
            ("Set up the leads recipe", self.set_up),
            ("Create a contact in HubSpot, and see it become a lead", self.to_salesforce),
            ("Edit the lead in Salesforce, and see the contact follow", self.to_hubspot),
        ]

    async def connect(self, session: aiohttp.ClientSession) -> str:
        app = {
            "slug": SETTINGS.salesforceApp,
            "provider": PROVIDER,
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "scopes": SCOPES,
        }
        registered = await self.ask(session, "POST", "/api/apps", json=app)
        world = self.salesforce.world
        world.add_app(CLIENT_ID, CLIENT_SECRET, [registered["redirectUrl"]], SCOPES, run_as=ADMIN)
        # What a person does on the consent page: sign in.
        before, world.levers.auto_consent = world.levers.auto_consent, ADMIN
        path = f"/api/{PROVIDER}/auth/{SETTINGS.salesforceApp}?userForeignIdentifier={self.user}"
        link = await self.ask(session, "GET", path)
        async with session.get(link["url"]) as answer:
            if answer.status != 200:
                raise RuntimeError(f"the callback answered {answer.status}")
        world.levers.auto_consent = before
        path = f"/api/apps/{SETTINGS.salesforceApp}/connections/{self.user}"
        connection = await self.ask(session, "GET", path)
        return f"org {connection['accountId']}, as {ADMIN}"

    async def set_up(self, session: aiohttp.ClientSession) -> str:
        # What an admin does in Salesforce's setup, once.
        key = Field(
            SETTINGS.externalIdField,
            "HubSpot Contact ID",
            length=64,
            external_id=True,
            unique=True,
            case_sensitive=True,
        )
        self.salesforce.world.org.add_field("Lead", key)
        settings = SETTINGS.model_dump(mode="json", exclude_unset=True)
        await self.ask(session, "PUT", "/api/apps/demo/recipes/leads", json=settings)
        await self._subscribe(session)
        user = {"userForeignIdentifier": self.user}
        made = await self.ask(session, "POST", "/api/recipes/leads/demo/setup", json=user)
        checked = await self.ask(session, "POST", "/api/recipes/leads/demo/check", json=user)
        if not checked["ok"]:
            raise RuntimeError(str(checked["findings"]))
        return f"{len(made['created'])} property created, nothing to correct"

    async def _subscribe(self, session: aiohttp.ClientSession) -> None:
        """What a person does at HubSpot: paste the webhook URL, subscribe to contacts."""
        app = await self.ask(session, "GET", "/api/apps/demo")
        names = [each.hubspot for each in SETTINGS.fields]
        changes = [{"eventType": "contact.propertyChange", "propertyName": name} for name in names]
        subscriptions = [*({"eventType": each} for each in EVENTS), *changes]
        self.hubspot.apps[app["clientId"]].subscribe(app["webhookUrl"], subscriptions)

    async def to_salesforce(self, _session: aiohttp.ClientSession) -> str:
        portal = self.hubspot.portals[PORTAL]
        crm, kind = self.hubspot.crm(portal), portal.type("contacts")
        if kind is None:
            raise RuntimeError("the sandbox has no contacts")
        self.known["contact"] = contact = crm.create(kind, {"properties": PERSON}).id
        key, external = f"{PORTAL}-{contact}", SETTINGS.externalIdField
        leads = self.salesforce.world.org.tables["Lead"]
        async with asyncio.timeout(TIMEOUT_S):
            while not any(each[external] == key for each in leads.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        self.known["lead"] = next(each for each in leads.values() if each[external] == key)
        return f"contact {contact} is lead {self.known['lead']['Id']}, started by HubSpot's webhook"

    async def to_hubspot(self, _session: aiohttp.ClientSession) -> str:
        org, lead = self.salesforce.world.org, self.known["lead"]
        person = Caller(org.default_lead_owner)
        writes.update(org, person, org.objects["lead"], lead, {"Title": TITLE})
        portal = self.hubspot.portals[PORTAL]
        kind = portal.type("contacts")
        if kind is None:
            raise RuntimeError("the sandbox has no contacts")
        properties = portal.of(kind).by_id[self.known["contact"]].properties
        async with asyncio.timeout(TIMEOUT_S):
            while properties.get("jobtitle") != TITLE:
                await asyncio.sleep(0.05)
                properties = portal.of(kind).by_id[self.known["contact"]].properties
        return (
            f"its job title is {TITLE}; Salesforce sends no webhooks, so the broker asks it every "
            f"{SETTINGS.pollSeconds} seconds"
        )
