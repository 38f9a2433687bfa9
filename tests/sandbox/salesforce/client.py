"""A sandbox Salesforce, and a way to call it as a browser, an app and an admin."""

import json
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from broker.sandbox.salesforce.oauth.parameters import challenge_of
from broker.sandbox.salesforce.server import serve

ADA = "ada@acme.example"
CALLBACK = "https://broker.example/callback"
VERIFIER = "a-verifier-of-at-least-forty-three-characters-0123456789"
DATA = "/services/data/v66.0"


@dataclass
class Got:
    """An answer; `body` is parsed when it is JSON."""

    status: int
    headers: dict
    body: object

    @property
    def code(self):
        return self.body[0]["errorCode"]


@dataclass
class Client:
    """An app that a user connects, and the admin."""

    running: object
    session: aiohttp.ClientSession
    token: str = ""
    tokens: dict = field(default_factory=dict)

    @property
    def world(self):
        return self.running.world

    @property
    def org(self):
        return self.world.org

    async def send(self, method, url, **rest):
        async with self.session.request(method, url, allow_redirects=False, **rest) as got:
            text = await got.text()
            is_json = "json" in got.headers.get("Content-Type", "")
            return Got(got.status, got.headers, json.loads(text) if is_json else text)

    async def authorize(self, host=None, username=ADA, **changes):
        """Where a consenting user's browser is sent; None when it ends at Salesforce."""
        self.world.levers.auto_consent = username
        query = {
            "client_id": "app",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "api refresh_token",
            "state": "s1",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
            **changes,
        }
        query = {name: value for name, value in query.items() if value is not None}
        url = (host or self.running.login_url) + "/services/oauth2/authorize"
        got = await self.send("GET", url, params=query)
        if got.status != 302:
            return None
        return {
            name: values[0]
            for name, values in parse_qs(urlsplit(got.headers["Location"]).query).items()
        }

    async def request_token(self, host=None, **form):
        """The token endpoint's answer; fields that are None are left out."""
        form = {"client_id": "app", "client_secret": "app-secret", **form}
        url = (host or self.running.login_url) + "/services/oauth2/token"
        return await self.send("POST", url, data={k: v for k, v in form.items() if v is not None})

    async def exchange(self, code, host=None, **form):
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        return await self.request_token(host, **{**sent, **form})

    async def refresh(self, refresh_token, host=None, **form):
        sent = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self.request_token(host, **{**sent, **form})

    async def connect(self, username=ADA, host=None, **changes):
        back = await self.authorize(host, username, **changes)
        got = await self.exchange(back["code"], host)
        assert got.status == 200, got.body
        self.tokens, self.token = got.body, got.body["access_token"]
        return got.body

    async def call(self, method, path, body=None, headers=None, token=None, base=DATA, url=None):
        sent = {"Authorization": f"Bearer {token or self.token}", **(headers or {})}
        address = (url or self.running.url) + base + path
        return await self.send(method, address, headers=sent, json=body)

    async def query(self, text, path="/query", **rest):
        sent = {"Authorization": f"Bearer {self.token}", **rest}
        return await self.send(
            "GET", f"{self.running.url}{DATA}{path}", headers=sent, params={"q": text}
        )

    async def make(self, sobject="Lead", **fields):
        """Create a record that must be taken; its id."""
        if sobject == "Lead":
            fields = {"LastName": "Byron", "Company": "Acme", **fields}
        got = await self.call(
            "POST", f"/sobjects/{sobject}", fields, {"Sforce-Auto-Assign": "FALSE"}
        )
        assert got.status == 201, got.body
        return got.body["id"]

    async def read(self, record_id, sobject="Lead"):
        got = await self.call("GET", f"/sobjects/{sobject}/{record_id}")
        assert got.status == 200, got.body
        return got.body

    async def control(self, path, body=None, method="POST"):
        got = await self.send(method, f"{self.running.url}/_sandbox{path}", json=body)
        assert got.status < 300, got.body
        return got.body


@pytest.fixture
async def salesforce():
    """A sandbox Salesforce with one org, and an app that is not connected yet."""
    running = await serve("127.0.0.1", 0)
    running.world.add_app("app", "app-secret", [CALLBACK], run_as="ada@acme.example")
    async with aiohttp.ClientSession() as session:
        yield Client(running, session)
    await running.close()
