"""FML's public API: tokens, and making, listing and reading cases
(https://www.firstmilelabs.com/docs/api, /docs/hubspot, /docs/zapier).
"""

import asyncio
import json
import re
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from broker.sandbox.fml.world import Case, Client, FirstMileLabs, SavedAnswer

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class ApiEndpoints:
    """`/v1`."""

    def __init__(self, fml: FirstMileLabs) -> None:
        self._fml = fml

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.post("/v1/oauth/token", self.token),
            web.post("/v1/cases", self.create),
            web.get("/v1/cases", self.index),
            web.post("/v1/echo", self.echo),
        ]

    async def token(self, request: web.Request) -> web.Response:
        """Client credentials for a token."""
        fml, raw = self._fml, await request.read()
        if request.content_type == "application/json":
            fields = _object(raw)
        elif fml.levers.accepts_forms:
            fields = dict(parse_qsl(raw.decode()))
        else:
            return _refusal(400, "invalid_request")
        if fields is None or not isinstance(fields.get("client_id"), str):
            return _refusal(400, "invalid_request")
        wait = fml.over(fields["client_id"], "token")
        if wait:
            return _throttled(wait)
        if fields.get("grant_type") != "client_credentials":
            return _refusal(400, "unsupported_grant_type")
        client = fml.clients.get(fields["client_id"])
        if client is None or client.revoked or client.client_secret != fields.get("client_secret"):
            return _refusal(401, "invalid_client")
        token, _ = fml.mint(client)
        return web.json_response(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": fml.levers.token_lifetime,
                "scope": " ".join(client.scopes),
            }
        )

    async def create(self, request: web.Request) -> web.Response:
        """Make a case, or return the one that exists."""
        client = self._client(request, "cases:write")
        if isinstance(client, web.Response):
            return client
        raw = await request.read()
        key = request.headers.get("Idempotency-Key")
        if self._fml.levers.slowness:
            await asyncio.sleep(self._fml.levers.slowness)
        if key is None:
            status, answer, headers = self._make(client, raw)
            return web.json_response(answer, status=status, headers=headers)
        return await self._once(client, (client.org_id, key), raw)

    async def _once(self, client: Client, key: tuple[str, str], raw: bytes) -> web.Response:
        fml = self._fml
        while key in fml.in_flight:
            if fml.levers.parallel_keys == "conflict":
                return _refusal(409, "idempotency_key_conflict")
            await asyncio.sleep(0.01)
        saved = fml.keys.get(key)
        lifetime = fml.levers.key_lifetime
        if saved is not None and lifetime is not None and fml.now() > saved.at + lifetime:
            saved = None
        if saved is not None and not (fml.levers.record_first and self._has_case(client, raw)):
            if saved.endpoint != "POST /v1/cases":
                return _refusal(409, "idempotency_key_conflict")
            if fml.levers.compares_bodies and saved.body != raw:
                return _refusal(409, "idempotency_key_conflict")
            return web.json_response(
                saved.answer, status=saved.status, headers={"Idempotent-Replay": "true"}
            )
        fml.in_flight.add(key)
        try:
            status, answer, headers = self._make(client, raw)
        finally:
            fml.in_flight.discard(key)
        if status < 300 or (fml.levers.keeps_refusals and status < 500):
            fml.keys[key] = SavedAnswer("POST /v1/cases", raw, status, answer, fml.now())
        return web.json_response(answer, status=status, headers=headers)

    def _has_case(self, client: Client, raw: bytes) -> bool:
        return self._fml.case_of_record(client.org_id, _object(raw) or {}) is not None

    def _make(self, client: Client, raw: bytes) -> tuple[int, dict[str, Any], dict[str, str]]:
        fml, fields = self._fml, _object(raw)
        email = None if fields is None else fields.get("customerEmail")
        if fields is None or not isinstance(email, str) or not EMAIL.fullmatch(email):
            answer: dict[str, Any] = {"error": "validation_error"}
            if fml.levers.error_list:
                wrong = {"field": "customerEmail", "message": "must be a valid email address"}
                answer[fml.levers.error_list] = [wrong]
            return 400, answer, {}
        found = fml.case_of_record(client.org_id, fields)
        if found is not None:
            return 200, found.shown(), {"Idempotent-Replay": "crm-record-id"}
        return 201, fml.open_case(client.org_id, fields).shown(), {}

    async def echo(self, request: web.Request) -> web.Response:
        """Not FML's: another endpoint that takes keys, so that a key can conflict."""
        client = self._client(request, "cases:write")
        if isinstance(client, web.Response):
            return client
        key = client.org_id, request.headers["Idempotency-Key"]
        self._fml.keys[key] = SavedAnswer("POST /v1/echo", b"", 200, {}, self._fml.now())
        return web.json_response({})

    async def index(self, request: web.Request) -> web.Response:
        """List cases."""
        client = self._client(request, "read:cases")
        if isinstance(client, web.Response):
            return client
        limit = min(int(request.query.get("limit", "50")), 200)
        begin = int(request.query.get("cursor", "0"))
        cases: list[Case] = [c for c in self._fml.cases.values() if c.org_id == client.org_id]
        page, end = cases[begin : begin + limit], begin + limit
        more = end < len(cases)
        return web.json_response(
            {
                "data": [case.shown() for case in page],
                "nextCursor": str(end) if more else None,
                "hasMore": more,
            }
        )

    def _client(self, request: web.Request, scope: str) -> Client | web.Response:
        fml = self._fml
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        token = fml.tokens.get(value) if scheme == "Bearer" else None
        client = None if token is None else fml.clients.get(token.client_id)
        if token is None or client is None or client.revoked or not token.alive:
            return _refusal(401, "invalid_token")
        if token.expires_at <= fml.now():
            return _refusal(401, "invalid_token")
        wait = fml.over(client.client_id, "call")
        if wait:
            return _throttled(wait)
        if scope not in client.scopes:
            return _refusal(403, "insufficient_scope")
        return client


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        read = json.loads(raw)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _refusal(status: int, code: str) -> web.Response:
    return web.json_response({"error": code}, status=status)


def _throttled(wait: int) -> web.Response:
    return web.json_response(
        {"error": "rate_limited"}, status=429, headers={"Retry-After": str(wait)}
    )
