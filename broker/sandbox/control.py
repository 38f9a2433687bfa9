"""The control API under `/_sandbox`, and the page at `/`: levers for other processes and people."""

from dataclasses import asdict
from typing import Any

from aiohttp import web

from broker.sandbox.consent import render
from broker.sandbox.faults import Fault
from broker.sandbox.world import Sandbox


class ControlEndpoints:
    """What a test or a person may do to the sandbox from outside."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def home(self, _request: web.Request) -> web.Response:
        """Show portals, apps and the last requests to a person."""
        seen = list(self._sandbox.seen)[-50:]
        return render(
            "home.html",
            portals=self._sandbox.portals.values(),
            apps=self._sandbox.apps.values(),
            seen=reversed(seen),
        )

    async def put_app(self, request: web.Request) -> web.Response:
        """Make or replace an app: clientId, clientSecret, appId, scopes, redirectUrls."""
        said = await request.json()
        self._sandbox.register_app(
            said["clientId"],
            said["clientSecret"],
            int(said["appId"]),
            said["scopes"],
            said["redirectUrls"],
            said.get("optionalScopes", []),
        )
        return web.json_response({"clientId": said["clientId"]}, status=201)

    async def put_portal(self, request: web.Request) -> web.Response:
        """Make a portal: hubId, domain, users."""
        said = await request.json()
        self._sandbox.add_portal(int(said["hubId"]), said["domain"], said["users"])
        return web.json_response({"hubId": said["hubId"]}, status=201)

    async def add_fault(self, request: web.Request) -> web.Response:
        """Set a fault, by the fields of `Fault`."""
        self._sandbox.faults.add(Fault(**await request.json()))
        return web.json_response({"faults": len(self._sandbox.faults.active)}, status=201)

    async def faults(self, _request: web.Request) -> web.Response:
        """List the faults with how often each struck."""
        return web.json_response([asdict(fault) for fault in self._sandbox.faults.active])

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """Make everything go right again."""
        self._sandbox.faults.clear()
        return web.Response(status=204)

    async def levers(self, request: web.Request) -> web.Response:
        """Set levers: autoConsent, tokenLifetime, rotatesRefreshTokens, jump, expire, revoke."""
        said: dict[str, Any] = await request.json()
        sandbox = self._sandbox
        if "autoConsent" in said:
            sandbox.auto_consent = said["autoConsent"]
        if "tokenLifetime" in said:
            sandbox.token_lifetime = int(said["tokenLifetime"])
        if "rotatesRefreshTokens" in said:
            sandbox.rotates_refresh_tokens = bool(said["rotatesRefreshTokens"])
        if "jump" in said:
            sandbox.jump(float(said["jump"]))
        if "expire" in said:
            sandbox.expire_access_tokens(said["expire"])
        if "revoke" in said:
            sandbox.revoke_grants(int(said["revoke"]))
        return web.Response(status=204)

    async def counters(self, _request: web.Request) -> web.Response:
        """Tell what was asked so far."""
        sandbox = self._sandbox
        return web.json_response(
            {
                "exchanges": sandbox.exchanges,
                "refreshes": sandbox.refreshes,
                "introspections": sandbox.introspections,
                "revocations": len(sandbox.revocations),
                "requests": len(sandbox.seen),
            }
        )
