"""The control API under `/_sandbox`, and the page at `/`: levers for other processes and people."""

from typing import Any

from aiohttp import web

from broker.sandbox.core.control.faults import FaultEndpoints
from broker.sandbox.core.control.requests import Handler, guarded, read_object
from broker.sandbox.core.faults import KINDS
from broker.sandbox.hubspot.pages import render
from broker.sandbox.hubspot.world import Sandbox

# How a lever is called outside, and which attribute it moves.
LEVERS = {
    "autoConsent": "auto_consent",
    "autoConsentUser": "auto_consent_user",
    "mayNotInstall": "may_not_install",
    "tokenLifetime": "token_lifetime",
    "rotatesRefreshTokens": "rotates_refresh_tokens",
    "sharesRefreshTokens": "shares_refresh_tokens",
    "searchLag": "search_lag",
}
LIMITS = {"tenSecondly": "ten_secondly", "search": "search", "daily": "daily"}
WEBHOOKS = {
    "batchSize": "batch_size",
    "window": "window",
    "timeout": "timeout",
    "duplicates": "duplicates",
    "shuffled": "shuffled",
    "mixesPortals": "mixes_portals",
    "paused": "paused",
    "retryAfter": "retry_after",
}
ACTIONS = ("jump", "expire", "revoke", "removePortal", "lock", "move")
SHOWN = 100


class ControlEndpoints:
    """The control API of HubSpot."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.home),
            ("POST", "/_sandbox/apps", self.put_app),
            ("POST", "/_sandbox/portals", self.put_portal),
            ("GET", "/_sandbox/levers", self.show_levers),
            ("POST", "/_sandbox/levers", self.levers),
            ("GET", "/_sandbox/counters", self.counters),
            ("GET", "/_sandbox/requests", self.requests),
        ]
        own = [web.route(method, path, guarded(handler)) for method, path, handler in table]
        return [*own, *FaultEndpoints(self._sandbox.faults).routes()]

    async def home(self, _request: web.Request) -> web.Response:
        """Show portals, records, requests and levers to a person."""
        sandbox = self._sandbox
        portals = [
            {
                "hub_id": portal.hub_id,
                "domain": portal.domain,
                "users": portal.users,
                "records": [
                    (kind.plural, len(portal.of(kind).by_id), list(portal.of(kind).live())[-8:])
                    for kind in portal.all_types()
                    if portal.of(kind).by_id
                ],
            }
            for portal in sandbox.portals.values()
        ]
        return render(
            "home.html",
            directory=sandbox.directory,
            portals=portals,
            apps=sandbox.apps.values(),
            seen=list(sandbox.seen)[: -SHOWN // 2 : -1],
            levers=self._levers(),
            faults=sandbox.faults.active,
            kinds=KINDS,
            deliveries=list(sandbox.webhooks.deliveries)[:-20:-1],
        )

    async def put_app(self, request: web.Request) -> web.Response:
        """Make or replace an app: clientId, clientSecret, appId, scopes, redirectUrls."""
        payload = await read_object(request)
        app = self._sandbox.register_app(
            payload["clientId"],
            payload["clientSecret"],
            int(payload["appId"]),
            payload["scopes"],
            payload["redirectUrls"],
            payload.get("optionalScopes", []),
        )
        app.target_url = str(payload.get("webhookUrl", ""))
        return web.json_response({"clientId": app.client_id}, status=201)

    async def put_portal(self, request: web.Request) -> web.Response:
        """Make a portal: hubId, domain, users."""
        payload = await read_object(request)
        self._sandbox.add_portal(int(payload["hubId"]), payload["domain"], payload["users"])
        return web.json_response({"hubId": payload["hubId"]}, status=201)

    async def show_levers(self, _request: web.Request) -> web.Response:
        """Show the value of every lever."""
        return web.json_response(self._levers())

    def _levers(self) -> dict[str, Any]:
        sandbox = self._sandbox
        return {
            **{name: getattr(sandbox, attribute) for name, attribute in LEVERS.items()},
            "limits": {name: getattr(sandbox.limits, each) for name, each in LIMITS.items()},
            "webhooks": {name: getattr(sandbox.webhooks, each) for name, each in WEBHOOKS.items()},
        }

    async def levers(self, request: web.Request) -> web.Response:
        """Set levers, jump the clock, end tokens, lock a record, move an account."""
        payload, sandbox = await read_object(request), self._sandbox
        unknown = set(payload) - {*LEVERS, *ACTIONS, "limits", "webhooks"}
        unknown |= set(payload.get("limits", {})) - set(LIMITS)
        unknown |= set(payload.get("webhooks", {})) - set(WEBHOOKS)
        if unknown:
            raise ValueError(f"no such lever: {', '.join(sorted(unknown))}")
        for target, names, values in (
            (sandbox, LEVERS, payload),
            (sandbox.limits, LIMITS, payload.get("limits", {})),
            (sandbox.webhooks, WEBHOOKS, payload.get("webhooks", {})),
        ):
            for name in set(names) & set(values):
                setattr(target, names[name], values[name])
        self._act(payload)
        return web.Response(status=204)

    def _act(self, payload: dict[str, Any]) -> None:
        sandbox = self._sandbox
        if "jump" in payload:
            sandbox.jump(float(payload["jump"]))
        if "expire" in payload:
            sandbox.expire_access_tokens(payload["expire"])
        if "revoke" in payload:
            sandbox.revoke_grants(int(payload["revoke"]))
        if "removePortal" in payload:
            del sandbox.portals[int(payload["removePortal"])]
        if "lock" in payload:
            lock = payload["lock"]
            portal = sandbox.portals[int(lock["hubId"])]
            kind = portal.type(str(lock["objectType"]))
            if kind is None:
                raise ValueError("no such objectType")
            record = sandbox.crm(portal).find(kind, str(lock["objectId"]))
            record.locked_until = sandbox.now() + float(lock.get("seconds", 2.0))
        if "move" in payload:
            portal = sandbox.portals[int(payload["move"]["hubId"])]
            portal.moving_until = sandbox.now() + float(payload["move"]["seconds"])

    async def counters(self, _request: web.Request) -> web.Response:
        """Count the requests so far: in all, by endpoint, and by generation of token."""
        sandbox = self._sandbox
        tokens = [
            {
                "hubId": access.refresh.hub_id,
                "clientId": access.refresh.client_id,
                "generation": access.generation,
                "calls": access.calls,
            }
            for access in sandbox.grants.access_tokens.values()
        ]
        return web.json_response(
            {
                "exchanges": sandbox.exchanges,
                "refreshes": sandbox.refreshes,
                "introspections": sandbox.introspections,
                "revocations": len(sandbox.revocations),
                "requests": sandbox.answered,
                "endpoints": sandbox.counters,
                "tokens": tokens,
            }
        )

    async def requests(self, request: web.Request) -> web.Response:
        """List the last requests, newest first, without what authorizes them."""
        part = request.query.get("path", "")
        found = [each for each in reversed(self._sandbox.seen) if part in each.raw_path][:SHOWN]
        return web.json_response(
            [
                {
                    "method": each.method,
                    "target": each.raw_path,
                    "headers": {
                        name: value
                        for name, value in each.headers.items()
                        if name.lower() != "authorization"
                    },
                    "body": each.body.decode(errors="replace")
                    if "/oauth/" not in each.raw_path
                    else "",
                }
                for each in found
            ]
        )
