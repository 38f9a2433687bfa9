"""Webhook settings and subscriptions of an app, by its developer
(https://developers.hubspot.com/docs/api-reference/legacy/webhooks/guide).
"""

from typing import Any

from aiohttp import web

from broker.sandbox.hubspot.answers import Refused, answer
from broker.sandbox.hubspot.crm.values import moment
from broker.sandbox.hubspot.grants import App
from broker.sandbox.hubspot.world import Sandbox

# The prefix differs between versions.
BASES = ("/webhooks/{version:v3|2026-03}/{appId}", "/app-webhooks/2026-09/{appId}")
_COMMON = ("associationChange", "creation", "deletion", "merge", "propertyChange", "restore")
TYPES = {
    *(
        f"{name}.{action}"
        for name in ("contact", "company", "deal", "ticket", "line_item", "object")
        for action in _COMMON
    ),
    *(f"product.{action}" for action in _COMMON if action != "associationChange"),
    "contact.privacyDeletion",
    *(
        f"conversation.{action}"
        for action in ("creation", "deletion", "newMessage", "privacyDeletion", "propertyChange")
    ),
    "event.completed",
}


class SubscriptionEndpoints:
    """Authorized by the developer key (`hapikey`), not by a portal's token."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table = [
            ("GET", "/settings", self.settings),
            ("PUT", "/settings", self.put_settings),
            ("DELETE", "/settings", self.clear_settings),
            ("GET", "/subscriptions", self.index),
            ("POST", "/subscriptions", self.create),
            ("POST", "/subscriptions/batch/update", self.update_batch),
            ("GET", "/subscriptions/{subscriptionId}", self.read),
            ("PATCH", "/subscriptions/{subscriptionId}", self.update),
            ("DELETE", "/subscriptions/{subscriptionId}", self.remove),
        ]
        return [web.route(method, base + path, do) for base in BASES for method, path, do in table]

    async def settings(self, request: web.Request) -> web.Response:
        """Show where an app's events are sent."""
        return answer(self._settings(self._app(request)))

    def _settings(self, app: App) -> dict[str, Any]:
        if not app.target_url:
            raise Refused(404, "No webhook settings for this app", "OBJECT_NOT_FOUND")
        return {
            "targetUrl": app.target_url,
            "throttling": {"maxConcurrentRequests": app.max_concurrent},
            "createdAt": self._stamp(),
            "updatedAt": self._stamp(),
        }

    async def put_settings(self, request: web.Request) -> web.Response:
        """Set where an app's events are sent."""
        app, payload = self._app(request), await _json(request)
        url = str(payload.get("targetUrl", ""))
        if not url.startswith(("https://", "http://localhost", "http://127.0.0.1")):
            raise Refused(400, "targetUrl must be an https URL", "VALIDATION_ERROR")
        most = int((payload.get("throttling") or {}).get("maxConcurrentRequests", 10))
        if most <= 5:
            raise Refused(400, "maxConcurrentRequests must be more than 5", "VALIDATION_ERROR")
        app.target_url, app.max_concurrent = url, most
        return answer(self._settings(app))

    async def clear_settings(self, request: web.Request) -> web.Response:
        """Send an app's events nowhere."""
        self._app(request).target_url = ""
        return web.Response(status=204)

    async def index(self, request: web.Request) -> web.Response:
        """List an app's subscriptions."""
        return answer({"results": list(self._app(request).subscriptions.values())})

    async def create(self, request: web.Request) -> web.Response:
        """Subscribe an app to a type of event."""
        app, payload = self._app(request), await _json(request)
        return answer(self.subscribe(app, payload), 201)

    def subscribe(self, app: App, payload: dict[str, Any]) -> dict[str, Any]:
        """Make a subscription from a request's body."""
        kind = payload.get("eventType")
        if kind not in TYPES:
            raise Refused(400, f"Unknown eventType {str(kind)[:60]}", "VALIDATION_ERROR")
        if str(kind).endswith(".propertyChange") and not payload.get("propertyName"):
            raise Refused(400, "propertyName is required for propertyChange", "VALIDATION_ERROR")
        if str(kind).startswith("object.") and not payload.get("objectTypeId"):
            raise Refused(400, "objectTypeId is required for object events", "VALIDATION_ERROR")
        number = str(len(app.subscriptions) + app.app_id * 1000 + 1)
        fields = ("eventType", "propertyName", "objectTypeId", "eventTypeName")
        app.subscriptions[number] = {
            "id": number,
            "createdAt": self._stamp(),
            "updatedAt": self._stamp(),
            "active": bool(payload.get("active", False)),
            **{name: payload[name] for name in fields if payload.get(name) is not None},
        }
        return app.subscriptions[number]

    async def read(self, request: web.Request) -> web.Response:
        """Read one subscription."""
        return answer(self._found(request))

    async def update(self, request: web.Request) -> web.Response:
        """Pause or resume a subscription."""
        found, payload = self._found(request), await _json(request)
        found |= {"active": bool(payload.get("active")), "updatedAt": self._stamp()}
        return answer(found)

    async def update_batch(self, request: web.Request) -> web.Response:
        """Pause or resume many subscriptions."""
        app, payload = self._app(request), await _json(request)
        results: list[Any] = []
        for each in payload["inputs"]:
            found = app.subscriptions.get(str(each["id"]))
            if found is not None:
                found |= {"active": bool(each["active"]), "updatedAt": self._stamp()}
                results.append(found)
        now = self._stamp()
        body = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        return answer(body)

    async def remove(self, request: web.Request) -> web.Response:
        """End a subscription."""
        self._app(request).subscriptions.pop(request.match_info["subscriptionId"], None)
        return web.Response(status=204)

    def _app(self, request: web.Request) -> App:
        if request.query.get("hapikey") != self._sandbox.developer_key:
            raise Refused(401, "The API key used to make this call is invalid.")
        for app in self._sandbox.apps.values():
            if str(app.app_id) == request.match_info["appId"]:
                return app
        raise Refused(404, "No app with that id", "OBJECT_NOT_FOUND")

    def _found(self, request: web.Request) -> dict[str, Any]:
        found = self._app(request).subscriptions.get(request.match_info["subscriptionId"])
        if found is None:
            raise Refused(404, "Subscription not found", "SUBSCRIPTION_ID_NOT_FOUND")
        return found

    def _stamp(self) -> str:
        return moment(self._sandbox.now())


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        read = await request.json()
    except ValueError as error:
        raise Refused(400, "Invalid input JSON on line 1, column 1: not JSON") from error
    if not isinstance(read, dict):
        raise Refused(400, "Invalid input JSON on line 1, column 1: not an object")
    return read
