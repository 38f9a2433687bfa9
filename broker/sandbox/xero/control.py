"""`/_sandbox` for what only Xero has, and the page at `/` that shows the books."""

from dataclasses import asdict, fields
from typing import Any

from aiohttp import web

from broker.sandbox.core.control.levers import LeverEndpoints
from broker.sandbox.core.control.requests import Handler, guarded, read_object
from broker.sandbox.core.decimals import dumps, loads
from broker.sandbox.core.sending import SESSION
from broker.sandbox.xero.api.problems import XeroProblem
from broker.sandbox.xero.books.organisation import Organisation
from broker.sandbox.xero.books.resources import RESOURCES
from broker.sandbox.xero.books.saving import save_all
from broker.sandbox.xero.levers import Settings
from broker.sandbox.xero.pages import render
from broker.sandbox.xero.world import Xero

SHOWN = 50


class ControlEndpoints:
    """The control API of Xero."""

    def __init__(self, world: Xero) -> None:
        self._world = world
        actions = {
            "revoke": world.grants.revoke,
            "disconnect": world.grants.disconnect,
            "expire": lambda _: world.grants.expire_access(),
        }
        targets = (world.levers, world.webhooks.ways)
        self._levers = LeverEndpoints(world, world.webhooks.deliveries, targets, actions)

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.home),
            ("POST", "/_sandbox/apps", self.put_app),
            ("POST", "/_sandbox/apps/{clientId}/webhook-check", self.check_webhook),
            ("POST", "/_sandbox/events", self.send_events),
            ("GET", "/_sandbox/organisations", self.organisations),
            ("POST", "/_sandbox/organisations/{tenantId}", self.put_organisation),
            ("POST", "/_sandbox/organisations/{tenantId}/{kind}", self.save),
        ]
        own = [web.route(method, path, guarded(handler)) for method, path, handler in table]
        return [*own, *self._levers.routes()]

    async def home(self, _request: web.Request) -> web.Response:
        """Show organisations with their contacts and invoices, apps and levers."""
        world = self._world
        organisations = [
            {
                "tenant_id": tenant_id,
                "settings": asdict(each.settings),
                "contacts": list(each.all("Contacts"))[-SHOWN:],
                "invoices": list(each.all("Invoices"))[-SHOWN:],
            }
            for tenant_id, each in world.organisations.items()
        ]
        return render(
            "home.html",
            organisations=organisations,
            apps=world.grants.apps.values(),
            levers=self._levers.values(),
            seen=list(world.seen)[:-SHOWN:-1],
            sent=list(world.webhooks.deliveries.sent)[:-SHOWN:-1],
        )

    async def put_app(self, request: web.Request) -> web.Response:
        """Make or replace an app: clientId, clientSecret ("" for PKCE), redirectUris, customTenant,
        webhookUrl, webhookKey.
        """
        payload = await read_object(request)
        app = self._world.register_app(
            payload["clientId"],
            str(payload.get("clientSecret", "")),
            list(payload.get("redirectUris", [])),
            str(payload.get("customTenant", "")),
            str(payload.get("webhookUrl", "")),
            str(payload.get("webhookKey", "")),
        )
        return web.json_response({"clientId": app.client_id}, status=201)

    async def check_webhook(self, request: web.Request) -> web.Response:
        """Start the intent to receive; how each request went, and the webhook's status."""
        app = self._world.grants.apps[request.match_info["clientId"]]
        checks = await self._world.webhooks.check(app, request.app[SESSION])
        shown = [asdict(each) for each in checks]
        return web.json_response({"status": app.webhook_status, "checks": shown})

    async def send_events(self, request: web.Request) -> web.Response:
        """Send an app events unchanged: clientId, events."""
        payload = await read_object(request)
        app = self._world.grants.apps[payload["clientId"]]
        sent = self._world.webhooks.send(app, list(payload["events"]))
        return web.json_response({"id": sent}, status=202)

    async def organisations(self, _request: web.Request) -> web.Response:
        """List the organisations with their settings."""
        return web.json_response(
            {each: asdict(found.settings) for each, found in self._world.organisations.items()}
        )

    async def put_organisation(self, request: web.Request) -> web.Response:
        """Make an organisation, or change its settings by their names."""
        payload, tenant_id = await read_object(request), request.match_info["tenantId"]
        unknown = set(payload) - {each.name for each in fields(Settings)}
        if unknown:
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
        found = self._world.organisations.get(tenant_id)
        if found is None:
            self._world.add_organisation(tenant_id, Settings(**payload))
            return web.json_response({"tenantId": tenant_id}, status=201)
        for name, value in payload.items():
            setattr(found.settings, name, value)
        return web.json_response({"tenantId": tenant_id})

    async def save(self, request: web.Request) -> web.Response:
        """Create or change records as a person does: an element, or a list of them."""
        organisation = self._organisation(request)
        payload: Any = loads(await request.read())
        try:
            saved = save_all(
                organisation,
                RESOURCES[request.match_info["kind"].lower()],
                payload if isinstance(payload, list) else [payload],
                creates_only=False,
                summarizes=True,
                places=4,
            )
        except XeroProblem as problem:
            return _json(problem.body, problem.status)
        return _json(saved)

    def _organisation(self, request: web.Request) -> Organisation:
        return self._world.organisations[request.match_info["tenantId"]]


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(text=dumps(body), status=status, content_type="application/json")
