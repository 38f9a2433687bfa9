"""The demo's second half: a Company becomes a case, and the decision comes back onto it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from broker.sandbox.fml.server import RunningFml
from broker.sandbox.fml.world import WebhookEndpoint
from broker.sandbox.hubspot.world import Sandbox

COMPANY_SCOPES = [
    f"crm.{part}.companies.{right}"
    for part in ("objects", "schemas")
    for right in ("read", "write")
]
CLIENT_ID, CLIENT_SECRET = "pk_live_demo", "sk_live_demo"
WEBHOOK_SECRET = "demo-webhook-secret"  # noqa: S105  # the sandbox's
PORTAL = 101
TIMEOUT_S = 20.0

Ask = Callable[..., Awaitable[Any]]
Title = tuple[str, Callable[[aiohttp.ClientSession], Awaitable[str]]]


@dataclass(slots=True)
class KybScenario:
    """A KYB kickoff, step by step. `ask` calls the broker as the demo does."""

    ask: Ask
    hubspot: Sandbox
    fml: RunningFml
    user: str
    known: dict[str, Any] = field(default_factory=dict)

    def steps(self) -> list[Title]:
        return [
            ("Set up the KYB recipe", self.set_up),
            ("Create a Company in HubSpot", self.company),
            ("See what a kickoff would do", self.dry_run),
            ("Kick off its onboarding, twice at once", self.kick_off),
            ("Decide the case at First Mile Labs", self.decide),
            ("See the decision on the Company", self.see),
        ]

    async def set_up(self, session: aiohttp.ClientSession) -> str:
        self.fml.fml.add_client(CLIENT_ID, CLIENT_SECRET)
        settings = {
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "webhookSecret": WEBHOOK_SECRET,
            "trigger": {"property": "lifecyclestage", "value": "opportunity"},
        }
        configured = await self.ask(session, "PUT", "/api/apps/demo/recipes/kyb", json=settings)
        # What a person does in First Mile Labs' console.
        self.fml.sender.endpoints.append(WebhookEndpoint(configured["webhookUrl"], WEBHOOK_SECRET))
        user = {"userForeignIdentifier": self.user}
        made = await self.ask(session, "POST", "/api/recipes/kyb/demo/setup", json=user)
        return f"{len(made['created'])} Company properties made"

    async def company(self, _session: aiohttp.ClientSession) -> str:
        portal = self.hubspot.portals[PORTAL]
        properties = {
            "name": "Acme Holdings Ltd",
            "country": "United Kingdom",
            "kyb_contact_email": "jane@acme.example",
            "kyb_contact_name": "Jane Doe",
        }
        kind = portal.type("companies")
        if kind is None:
            raise RuntimeError("the sandbox has no companies")
        made = self.hubspot.crm(portal).create(kind, {"properties": properties})
        self.known["company"] = str(made.id)
        return f"Company {made.id}"

    async def dry_run(self, session: aiohttp.ClientSession) -> str:
        answer = await self._kickoff(session, dryRun=True)
        return (
            f"{answer['wouldSend']['body']['companyName']}, cases so far: {len(self.fml.fml.cases)}"
        )

    async def kick_off(self, session: aiohttp.ClientSession) -> str:
        first, second = await asyncio.gather(self._kickoff(session), self._kickoff(session))
        if first["caseId"] != second["caseId"] or len(self.fml.fml.cases) != 1:
            raise RuntimeError("there are two cases")
        self.known["case"] = first["caseId"]
        shown = self._shown()
        return f"case {first['caseId']}, on the Company: {shown['fml_case_status']}"

    async def decide(self, _session: aiohttp.ClientSession) -> str:
        case = self.fml.fml.cases[self.known["case"]]
        self.fml.sender.move(case, status="approved", decision="approved")
        return "approved, sent by signed webhooks"

    async def see(self, _session: aiohttp.ClientSession) -> str:
        async with asyncio.timeout(TIMEOUT_S):
            while not self._is_decided():  # noqa: ASYNC110  # HubSpot's
                await asyncio.sleep(0.05)
        shown = self._shown()
        names = ("fml_case_status", "fml_stage", "fml_decision")
        return ", ".join(f"{name} {shown.get(name)}" for name in names)

    def _is_decided(self) -> bool:
        """Whether both events, of the decision and of the status, have reached the Company."""
        shown = self._shown()
        return shown.get("fml_decision") == shown.get("fml_case_status") == "approved"

    async def _kickoff(self, session: aiohttp.ClientSession, **more: Any) -> Any:
        body = {"userForeignIdentifier": self.user, "companyId": self.known["company"], **more}
        return await self.ask(session, "POST", "/api/recipes/kyb/demo", json=body)

    def _shown(self) -> dict[str, Any]:
        portal = self.hubspot.portals[PORTAL]
        kind = portal.type("companies")
        if kind is None:
            raise RuntimeError("the sandbox has no companies")
        return dict(portal.of(kind).by_id[self.known["company"]].properties)
