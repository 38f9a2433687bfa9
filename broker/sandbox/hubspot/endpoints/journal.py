"""The Webhooks Journal over HTTP: subscriptions, offsets, and files at addresses of their own."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from broker.sandbox.core.control.requests import guarded, read_object
from broker.sandbox.hubspot.answers import Refused, answer
from broker.sandbox.hubspot.events.journal import File
from broker.sandbox.hubspot.world import Sandbox

VERSIONS = "{version:2026-03|2026-09}"
READ = "developer.webhooks_journal.read"
SUBSCRIBE = "developer.webhooks_journal.subscriptions.write"


class JournalEndpoints:
    """Authorized by a token of the app itself (client credentials), not by a portal's."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        base = f"/webhooks-journal/journal/{VERSIONS}"
        subscriptions = f"/webhooks-journal/subscriptions/{VERSIONS}"
        return [
            web.get(f"{base}/earliest", self.earliest),
            web.get(f"{base}/latest", self.latest),
            web.get(f"{base}/offset/{{offset}}/next", self.next),
            web.get(subscriptions, self.index),
            web.post(subscriptions, guarded(self.subscribe)),
            web.get("/journal-files/{offset}", self.fetch),
        ]

    async def earliest(self, request: web.Request) -> web.Response:
        """Name the oldest file."""
        client_id = self._app(request, READ)
        return self._named(request, self._sandbox.journal.after(client_id, None))

    async def latest(self, request: web.Request) -> web.Response:
        """Name the newest file."""
        return self._named(request, self._sandbox.journal.newest(self._app(request, READ)))

    async def next(self, request: web.Request) -> web.Response:
        """Name the file after an offset."""
        client_id, offset = self._app(request, READ), request.match_info["offset"]
        try:
            return self._named(request, self._sandbox.journal.after(client_id, offset))
        except KeyError:
            raise Refused(404, "resource not found") from None

    async def fetch(self, request: web.Request) -> web.Response:
        """Serve a file without authentication, as a storage with signed URLs does."""
        if "Authorization" in request.headers:
            raise Refused(400, "Only one auth mechanism allowed")
        file = self._sandbox.journal.file(request.match_info["offset"])
        if file is None:
            raise Refused(404, "resource not found")
        published = datetime.fromtimestamp(file.published_at, UTC)
        return answer(
            {
                "offset": file.offset,
                "journalEvents": file.events,
                "publishedAt": published.isoformat(timespec="milliseconds"),
            }
        )

    async def index(self, request: web.Request) -> web.Response:
        """List what is recorded for the app."""
        client_id = self._app(request, READ)
        return answer({"results": self._sandbox.journal.subscriptions.get(client_id, [])})

    async def subscribe(self, request: web.Request) -> web.Response:
        """Record something from now on: objects of a portal, or the app's own life."""
        client_id = self._app(request, SUBSCRIBE)
        return answer(self._sandbox.journal.subscribe(client_id, await read_object(request)), 201)

    def _app(self, request: web.Request, scope: str) -> str:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        access = self._sandbox.grants.access_tokens.get(token)
        if access is None or access.refresh.hub_id or access.expires_at <= self._sandbox.now():
            raise Refused(401, "Authentication credentials not found.", "INVALID_AUTHENTICATION")
        if scope not in access.refresh.scopes:
            raise Refused(403, "This app hasn't been granted all required scopes", "MISSING_SCOPES")
        return access.refresh.client_id

    def _named(self, request: web.Request, file: File | None) -> web.Response:
        if file is None:
            return web.Response(status=204)
        expires = datetime.fromtimestamp(self._sandbox.now(), UTC) + timedelta(minutes=10)
        named: dict[str, Any] = {
            "currentOffset": file.offset,
            "expiresAt": expires.isoformat(timespec="milliseconds"),
            "url": f"{request.url.origin()}/journal-files/{file.offset}?X-Amz-Signature=sandbox",
        }
        return answer(named)
