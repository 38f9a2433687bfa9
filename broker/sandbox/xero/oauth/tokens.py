"""Xero's token endpoint, revocation, and the connections of a token."""

import base64
import binascii
import hmac
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from broker.sandbox.xero.api import problems
from broker.sandbox.xero.api.endpoints import REMAINING
from broker.sandbox.xero.api.rendering import answer, utc_of
from broker.sandbox.xero.oauth.grants import EVERYTHING, App, Connection
from broker.sandbox.xero.world import Xero

FORM = "application/x-www-form-urlencoded"


class TokenEndpoints:
    """`/connect/token`, `/connect/revocation` and `/connections`."""

    def __init__(self, world: Xero) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.post("/connect/token", self.token),
            web.post("/connect/revocation", self.revoke),
            *(
                each
                for name in ("connections", "Connections")
                for each in (
                    web.get(f"/{name}", self.connections),
                    web.delete(f"/{name}/{{id}}", self.disconnect),
                )
            ),
        ]

    async def token(self, request: web.Request) -> web.Response:
        """A code, a refresh token or client credentials for tokens."""
        form = await _form(request)
        app = self._client(request, form)
        if app is None:
            return _error("invalid_client")
        kind, grants = form.get("grant_type", ""), self._world.grants
        if kind == "authorization_code":
            self._world.count("exchanges")
            code = grants.redeem(
                form.get("code", ""),
                app.client_id,
                form.get("redirect_uri", ""),
                form.get("code_verifier", ""),
            )
            if code is None:
                return _error("invalid_grant")
            return _issued(grants.issue(app.client_id, code.scopes, code.auth_event_id))
        if kind == "refresh_token":
            self._world.count("refreshes")
            found = grants.renew(form.get("refresh_token", ""), app.client_id)
            if found is None:
                return _error("invalid_grant")
            return _issued(grants.issue(app.client_id, found.scopes, found.auth_event_id))
        if kind == "client_credentials":
            return self._custom(app, form)
        return _error("unsupported_grant_type")

    def _custom(self, app: App, form: dict[str, str]) -> web.Response:
        if not app.custom_tenant:
            return _error("unauthorized_client")
        self._world.count("client credentials")
        allowed = [each for each in EVERYTHING if each != "offline_access"]
        scopes = form.get("scope", "").split() or allowed
        readable = {f"{each}.read" for each in allowed}
        if not set(scopes) <= {*allowed, *readable}:
            return _error("invalid_scope")
        return _issued(self._world.grants.issue(app.client_id, scopes, ""))

    async def revoke(self, request: web.Request) -> web.Response:
        """End a refresh token with its access tokens and the app's connections."""
        form = await _form(request)
        app = self._client(request, form)
        if app is None:
            return _error("invalid_client")
        found = self._world.grants.refresh_tokens.get(form.get("token", ""))
        if found is not None and found.client_id == app.client_id:
            self._world.count("revocations")
            self._world.grants.revoke(app.client_id)
        # RFC 7009: an unknown token is not an error.
        return web.Response(status=200)

    async def connections(self, request: web.Request) -> web.Response:
        """The organisations that the token's app is connected to."""
        client_id = self._caller(request)
        event = request.query.get("authEventId")
        shown = [
            self._shown(each)
            for each in self._world.grants.connections.values()
            if each.client_id == client_id and event in {None, each.auth_event_id}
        ]
        return answer(shown)

    async def disconnect(self, request: web.Request) -> web.Response:
        """End a connection."""
        client_id = self._caller(request)
        connections = self._world.grants.connections
        found = connections.get(request.match_info["id"])
        if found is None or found.client_id != client_id:
            raise problems.not_found()
        del connections[found.connection_id]
        return web.Response(status=204)

    def _caller(self, request: web.Request) -> str:
        token = self._world.access.token(request)
        request[REMAINING] = self._world.access.remaining(token.client_id, "")
        return token.client_id

    def _shown(self, connection: Connection) -> dict[str, str]:
        organisation = self._world.organisations[connection.tenant_id]
        return {
            "id": connection.connection_id,
            "authEventId": connection.auth_event_id,
            "tenantId": connection.tenant_id,
            "tenantType": "ORGANISATION",
            "tenantName": organisation.settings.name,
            "createdDateUtc": utc_of(connection.created_at),
            "updatedDateUtc": utc_of(connection.updated_at),
        }

    def _client(self, request: web.Request, form: dict[str, str]) -> App | None:
        """The app that proves itself by Basic or in the body; one without a secret by its id."""
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        if scheme.lower() == "basic":
            try:
                name, _, encoded_secret = (
                    base64.b64decode(value, validate=True).decode().partition(":")
                )
            except (binascii.Error, UnicodeDecodeError):
                return None
            client_id, secret = unquote(name), unquote(encoded_secret)
        app = self._world.grants.apps.get(client_id)
        if app is None or not hmac.compare_digest(app.client_secret.encode(), secret.encode()):
            return None
        return app


async def _form(request: web.Request) -> dict[str, str]:
    if request.content_type != FORM:
        return {}
    text = (await request.read()).decode(errors="replace")
    return dict(parse_qsl(text, keep_blank_values=True))


def _issued(body: dict[str, object]) -> web.Response:
    response = web.json_response(body)
    response.headers["Cache-Control"] = "no-store, no-cache, max-age=0"
    return response


def _error(word: str) -> web.Response:
    return web.json_response({"error": word}, status=400)
