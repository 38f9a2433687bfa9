"""The control API's second half: what people, workflows and UI extensions do at HubSpot."""

from dataclasses import asdict
from typing import Any

from aiohttp import web

from broker.sandbox.core.control.requests import Handler, guarded, read_object
from broker.sandbox.core.sending import SESSION
from broker.sandbox.hubspot.crm.shown import whole
from broker.sandbox.hubspot.crm.types import ObjectType
from broker.sandbox.hubspot.endpoints.subscriptions import SubscriptionEndpoints
from broker.sandbox.hubspot.portal import FIRST_USER_ID, Portal
from broker.sandbox.hubspot.seed import plant
from broker.sandbox.hubspot.world import Sandbox


class ActingEndpoints:
    """Changes by people, webhook subscriptions without a developer key, signed calls."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        records = "/_sandbox/portals/{hubId}/records/{objectType}"
        table: list[tuple[str, str, Handler]] = [
            ("POST", records, self.create),
            ("PATCH", records + "/{objectId}", self.update),
            ("DELETE", records + "/{objectId}", self.archive),
            ("POST", records + "/{objectId}/restore", self.restore),
            ("POST", "/_sandbox/portals/{hubId}/seed", self.seed),
            ("POST", "/_sandbox/apps/{clientId}/webhooks", self.subscribe),
            ("POST", "/_sandbox/apps/{clientId}/events", self.send),
            ("GET", "/_sandbox/deliveries", self.deliveries),
            ("POST", "/_sandbox/workflow-actions", self.run_action),
            ("GET", "/_sandbox/workflow-actions/{callbackId}", self.read_action),
            ("POST", "/_sandbox/ui-extension-calls", self.call_extension),
        ]
        return [web.route(method, path, guarded(handler)) for method, path, handler in table]

    def _find_type(self, request: web.Request) -> tuple[Portal, ObjectType]:
        portal = self._sandbox.portals[int(request.match_info["hubId"])]
        kind = portal.type(request.match_info["objectType"])
        if kind is None:
            raise ValueError("no such object type")
        return portal, kind

    async def create(self, request: web.Request) -> web.Response:
        """Make a record as a person does: {"properties", "associations"}."""
        portal, kind = self._find_type(request)
        record = self._sandbox.crm(portal).create(kind, await read_object(request))
        return web.json_response(whole(portal, kind, record), status=201)

    async def update(self, request: web.Request) -> web.Response:
        """Change a record as a person does: {"properties"}."""
        portal, kind = self._find_type(request)
        crm, payload = self._sandbox.crm(portal), await read_object(request)
        record = crm.find(kind, request.match_info["objectId"])
        crm.update(kind, record, payload["properties"])
        return web.json_response(whole(portal, kind, record))

    async def archive(self, request: web.Request) -> web.Response:
        """Delete a record as a person does."""
        portal, kind = self._find_type(request)
        self._sandbox.crm(portal).archive(kind, request.match_info["objectId"])
        return web.Response(status=204)

    async def restore(self, request: web.Request) -> web.Response:
        """Restore a deleted record."""
        portal, kind = self._find_type(request)
        record = self._sandbox.crm(portal).restore(kind, request.match_info["objectId"])
        return web.json_response(whole(portal, kind, record))

    async def seed(self, request: web.Request) -> web.Response:
        """Fill a portal with believable records: {"companies"}."""
        portal = self._sandbox.portals[int(request.match_info["hubId"])]
        plant(self._sandbox, portal, int((await read_object(request)).get("companies", 25)))
        return web.Response(status=204)

    async def subscribe(self, request: web.Request) -> web.Response:
        """Send an app's events somewhere: {"targetUrl", "subscriptions": [...]}."""
        app, payload = (
            self._sandbox.apps[request.match_info["clientId"]],
            await read_object(request),
        )
        app.target_url = str(payload.get("targetUrl", app.target_url))
        maker = SubscriptionEndpoints(self._sandbox)
        for each in payload.get("subscriptions", []):
            maker.subscribe(app, {"active": True, **each})
        return web.json_response({"results": list(app.subscriptions.values())}, status=201)

    async def send(self, request: web.Request) -> web.Response:
        """Send events unchanged: {"events": [...]}."""
        app, payload = (
            self._sandbox.apps[request.match_info["clientId"]],
            await read_object(request),
        )
        for event in payload["events"]:
            self._sandbox.webhooks.send(app, {"attemptNumber": 0, **event})
        return web.Response(status=202)

    async def deliveries(self, _request: web.Request) -> web.Response:
        """List the batches that were sent, newest first, and what still waits."""
        webhooks = self._sandbox.webhooks
        return web.json_response(
            {
                "deliveries": [asdict(each) for each in reversed(webhooks.deliveries)],
                "waiting": len(webhooks.queue),
                "givenUp": len(webhooks.abandoned),
            }
        )

    async def run_action(self, request: web.Request) -> web.Response:
        """Run a custom workflow action for a record: {"clientId", "url", "hubId", "objectType",
        "objectId", "properties", "inputFields"}.
        """
        payload = await read_object(request)
        portal = self._sandbox.portals[int(payload["hubId"])]
        kind = portal.type(str(payload["objectType"]))
        if kind is None:
            raise ValueError("no such object type")
        record = self._sandbox.crm(portal).find(kind, str(payload["objectId"]))
        names = payload.get("properties", [])
        shown = {
            "objectId": int(record.id),
            "properties": {name: record.properties.get(name) for name in names},
            "objectType": kind.singular.upper(),
        }
        run = await self._sandbox.workflows.start(
            request.app[SESSION],
            payload["clientId"],
            payload["url"],
            portal.hub_id,
            shown,
            payload.get("inputFields", {}),
        )
        return web.json_response(asdict(run), status=201)

    async def read_action(self, request: web.Request) -> web.Response:
        """Show the state of a workflow action's run."""
        run = self._sandbox.workflows.executions[request.match_info["callbackId"]]
        return web.json_response(asdict(run))

    async def call_extension(self, request: web.Request) -> web.Response:
        """Call a backend as `hubspot.fetch` does: {"clientId", "method", "url", "hubId", "user",
        "body"}.
        """
        payload = await read_object(request)
        portal = self._sandbox.portals[int(payload["hubId"])]
        user = str(payload.get("user", portal.users[0]))
        sent: dict[str, Any] = {
            "appId": self._sandbox.apps[payload["clientId"]].app_id,
            "portalId": portal.hub_id,
            "userId": FIRST_USER_ID + portal.users.index(user),
            "userEmail": user,
        }
        got = await self._sandbox.workflows.call_extension(
            request.app[SESSION],
            payload["clientId"],
            str(payload.get("method", "POST")),
            payload["url"],
            sent,
            payload.get("body"),
        )
        return web.json_response(got)
