"""The control API under `/_sandbox`, and the page at `/` on which a person moves cases on."""

from dataclasses import asdict

from aiohttp import web

from broker.sandbox.core.control.faults import FaultEndpoints
from broker.sandbox.core.control.requests import (
    Handler,
    guarded,
    read_object,
    refuse_other_origins,
    set_levers,
)
from broker.sandbox.fml.pages import render
from broker.sandbox.fml.sender import Sender
from broker.sandbox.fml.world import FirstMileLabs, WebhookEndpoint

STAGES = (
    "collecting_documents",
    "application_submitted",
    "in_screening",
    "awaiting_id_verification",
)
DECISIONS = {"approved": "approved", "declined": "declined"}
SHOWN = 100


class ControlEndpoints:
    """The control API of First Mile Labs."""

    def __init__(self, fml: FirstMileLabs, sender: Sender) -> None:
        self._fml = fml
        self._sender = sender

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.home),
            ("POST", "/cases/{caseId}", self.press),
            ("POST", "/_sandbox/clients", self.put_client),
            ("POST", "/_sandbox/webhooks", self.put_webhook),
            ("GET", "/_sandbox/levers", self.show_levers),
            ("POST", "/_sandbox/levers", self.levers),
            ("GET", "/_sandbox/cases", self.cases),
            ("POST", "/_sandbox/cases/{caseId}", self.move),
            ("POST", "/_sandbox/events", self.send),
            ("POST", "/_sandbox/events/{eventId}/redeliver", self.redeliver),
            ("GET", "/_sandbox/deliveries", self.deliveries),
            ("GET", "/_sandbox/requests", self.requests),
            ("GET", "/_sandbox/counters", self.counters),
        ]
        own = [web.route(method, path, guarded(handler)) for method, path, handler in table]
        return [*own, *FaultEndpoints(self._fml.faults).routes()]

    async def home(self, _request: web.Request) -> web.Response:
        """Show cases, with buttons that move them on."""
        return render(
            "home.html",
            cases=list(self._fml.cases.values())[:-51:-1],
            stages=STAGES,
            decisions=DECISIONS,
            endpoints=self._sender.endpoints,
            sent=list(self._sender.sent)[:-21:-1],
            levers={**asdict(self._fml.levers), **asdict(self._sender.ways)},
        )

    async def press(self, request: web.Request) -> web.Response:
        """Do what a button of the page does; only the page itself may post here."""
        refuse_other_origins(request)
        case, form = self._fml.cases[request.match_info["caseId"]], await request.post()
        changes = {
            name: str(form[name]) for name in ("stage", "status", "decision") if name in form
        }
        self._sender.move(case, **changes)
        raise web.HTTPSeeOther("/")

    async def put_client(self, request: web.Request) -> web.Response:
        """Make a client: clientId, clientSecret, scopes, orgId."""
        payload = await read_object(request)
        client = self._fml.add_client(
            payload["clientId"],
            payload["clientSecret"],
            payload.get("scopes"),
            payload.get("orgId", "org"),
        )
        return web.json_response({"clientId": client.client_id}, status=201)

    async def put_webhook(self, request: web.Request) -> web.Response:
        """Send events somewhere: url, secret, events. The address may be this machine's, which
        FML itself refuses.
        """
        payload = await read_object(request)
        endpoint = WebhookEndpoint(payload["url"], payload["secret"], payload.get("events", ["*"]))
        self._sender.endpoints = [
            each for each in self._sender.endpoints if each.url != endpoint.url
        ] + [endpoint]
        return web.json_response({"url": endpoint.url}, status=201)

    async def show_levers(self, _request: web.Request) -> web.Response:
        """Show the value of every lever."""
        return web.json_response({**asdict(self._fml.levers), **asdict(self._sender.ways)})

    async def levers(self, request: web.Request) -> web.Response:
        """Set levers by their names; `jump` moves the clock, `revokeTokens` ends every token."""
        payload = await read_object(request)
        actions = ("jump", "revokeTokens")
        set_levers(payload, self._fml.levers, self._sender.ways, actions=actions)
        self._fml.jump(float(payload.get("jump", 0)))
        if payload.get("revokeTokens"):
            self._fml.revoke_tokens()
        return web.Response(status=204)

    async def cases(self, _request: web.Request) -> web.Response:
        """List the cases with their invitations."""
        return web.json_response(
            [
                {**case.shown(), "stage": case.stage, "invites": case.invites}
                for case in self._fml.cases.values()
            ]
        )

    async def move(self, request: web.Request) -> web.Response:
        """Move a case on: status, stage, decision; the ids of the events."""
        case = self._fml.cases[request.match_info["caseId"]]
        payload = await read_object(request)
        if set(payload) - {"status", "stage", "decision"}:
            raise ValueError("a case has status, stage and decision")
        return web.json_response({"eventIds": self._sender.move(case, **payload)}, status=202)

    async def send(self, request: web.Request) -> web.Response:
        """Send an event unchanged."""
        self._sender.send(await read_object(request))
        return web.Response(status=202)

    async def redeliver(self, request: web.Request) -> web.Response:
        """Send an event again, byte for byte."""
        self._sender.redeliver(request.match_info["eventId"])
        return web.Response(status=202)

    async def deliveries(self, _request: web.Request) -> web.Response:
        """List the attempts, newest first, and what still waits."""
        sent = [asdict(each) for each in reversed(self._sender.sent)]
        return web.json_response({"deliveries": sent, "waiting": len(self._sender.queue)})

    async def requests(self, _request: web.Request) -> web.Response:
        """List the last requests, newest first, without what authorizes them."""
        return web.json_response(
            [
                {
                    "method": each.method,
                    "path": each.path,
                    "idempotencyKey": each.key,
                    "body": "" if "/oauth/" in each.path else each.body.decode(errors="replace"),
                }
                for each in list(self._fml.seen)[: -SHOWN - 1 : -1]
            ]
        )

    async def counters(self, _request: web.Request) -> web.Response:
        """Count requests, throttled calls, cases and invitations."""
        paths = [each.path for each in self._fml.seen]
        return web.json_response(
            {
                "tokens": paths.count("/v1/oauth/token"),
                "calls": paths.count("/v1/cases"),
                "throttled": self._fml.refused_calls,
                "cases": len(self._fml.cases),
                "invites": sum(case.invites for case in self._fml.cases.values()),
            }
        )
