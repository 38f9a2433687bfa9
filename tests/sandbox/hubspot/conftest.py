"""A way to call the sandbox HubSpot as an app that is granted."""

import json
from dataclasses import dataclass

import aiohttp
import pytest

SCOPES = [
    "oauth",
    "automation",
    "tickets",
    "crm.objects.owners.read",
    "crm.schemas.custom.read",
    "crm.schemas.custom.write",
    "crm.objects.custom.read",
    "crm.objects.custom.write",
    *(
        f"crm.{part}.{kind}.{right}"
        for part in ("objects", "schemas")
        for kind in ("contacts", "companies", "deals")
        for right in ("read", "write")
    ),
]


@dataclass
class Got:
    """An answer."""

    status: int
    headers: dict
    body: object


@dataclass
class App:
    """A granted app that calls the sandbox."""

    hubspot: object
    session: aiohttp.ClientSession
    token: str = ""

    def granted(self, scopes=None, hub_id=101, client_id="app", user="ada@acme.example"):
        scopes = SCOPES if scopes is None else scopes
        if client_id not in self.hubspot.apps:
            number = 70 + len(self.hubspot.apps)
            self.hubspot.register_app(client_id, f"{client_id}-secret", number, scopes, [])
        refresh = self.hubspot.grants.issue_refresh(client_id, hub_id, user, scopes)
        self.token = self.hubspot.grants.issue_access(refresh, self.hubspot.now() + 1800).token
        return self

    async def request(self, method, path, body=None, headers=None):
        sent = {"data": json.dumps(body)} if body is not None else {}
        every = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        url = self.hubspot.url + path
        async with self.session.request(method, url, headers=every, **sent) as got:
            text = await got.text()
            is_json = "json" in got.headers.get("Content-Type", "")
            return Got(got.status, got.headers, json.loads(text) if is_json else text)

    async def create(self, kind, **properties):
        got = await self.request("POST", f"/crm/v3/objects/{kind}", {"properties": properties})
        assert got.status == 201, got.body
        return got.body["id"]


@pytest.fixture
async def app(hubspot):
    hubspot.limits.ten_secondly = hubspot.limits.search = 100_000
    async with aiohttp.ClientSession() as session:
        yield App(hubspot, session).granted()
