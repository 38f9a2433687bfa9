"""Intuit's discovery document, token endpoint and revocation."""

import base64
import binascii
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from broker.sandbox.quickbooks.oauth.grants import App, Grant
from broker.sandbox.quickbooks.world import QuickBooks

ISSUER = "https://oauth.platform.intuit.com/op/v1"
FORM = "application/x-www-form-urlencoded"


class TokenEndpoints:
    """`/.well-known`, `/oauth2/v1/tokens/bearer`, `/v2/oauth2/tokens/revoke` and userinfo."""

    def __init__(self, world: QuickBooks) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            *(
                web.get(f"/.well-known/{name}{slash}", self.discovery)
                for name in ("openid_configuration", "openid_sandbox_configuration")
                for slash in ("", "/")
            ),
            web.get("/op/v1/jwks", self.keys),
            web.post("/oauth2/v1/tokens/bearer", self.token),
            web.post("/v2/oauth2/tokens/revoke", self.revoke),
            web.get("/v1/openid_connect/userinfo", self.user),
        ]

    async def discovery(self, request: web.Request) -> web.Response:
        """Where everything is."""
        base = f"{request.scheme}://{request.host}"
        return web.json_response(
            {
                "issuer": ISSUER,
                "authorization_endpoint": f"{base}/connect/oauth2",
                "token_endpoint": f"{base}/oauth2/v1/tokens/bearer",
                "userinfo_endpoint": f"{base}/v1/openid_connect/userinfo",
                "revocation_endpoint": f"{base}/v2/oauth2/tokens/revoke",
                "jwks_uri": f"{base}/op/v1/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "email", "profile", "address", "phone"],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "client_secret_basic",
                ],
            }
        )

    async def keys(self, _request: web.Request) -> web.Response:
        """No keys: no identity tokens are issued here."""
        return web.json_response({"keys": []})

    async def token(self, request: web.Request) -> web.Response:
        """A code or a refresh token for tokens."""
        app = self._client(request)
        if app is None:
            return _error("invalid_client", status=401)
        if request.content_type != FORM:
            return _error("invalid_request")
        form = dict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        kind = form.get("grant_type", "")
        grants = self._world.grants
        if kind == "authorization_code":
            self._world.count("exchanges")
            found = grants.redeem(form.get("code", ""), app.client_id, form.get("redirect_uri", ""))
            wrong = "Invalid authorization code"
        elif kind == "refresh_token":
            self._world.count("refreshes")
            found = grants.renew(form.get("refresh_token", ""), app.client_id)
            wrong = "Incorrect or invalid refresh token"
        else:
            return _error("unsupported_grant_type")
        if found is None:
            described = self._world.levers.describes_errors
            return _error("invalid_grant", wrong if described else "")
        hard = request.headers.get("x-include-refresh-token-hard-expires-in") == "true"
        return self._issued(found, hard=hard)

    def _issued(self, grant: Grant, *, hard: bool) -> web.Response:
        grants = self._world.grants
        body: dict[str, Any] = {
            "token_type": "bearer",
            "expires_in": self._world.levers.access_lifetime,
            "access_token": grants.issue_access(grant),
            "refresh_token": grant.refresh_token,
            "x_refresh_token_expires_in": grants.refresh_expires_in(grant),
        }
        if hard:
            body["x_refresh_token_hard_expires_in"] = grants.hard_expires_in(grant)
        return web.json_response(body, headers={"Cache-Control": "no-cache, no-store"})

    async def revoke(self, request: web.Request) -> web.Response:
        """End the app's connection to a company, by either of its tokens."""
        app = self._client(request)
        if app is None:
            return _error("invalid_client", status=401)
        token = await _token_of(request)
        grants = self._world.grants
        access = grants.access_tokens.get(token)
        grant = access.grant if access is not None else grants.refresh_tokens.get(token)
        if grant is None or grant.client_id != app.client_id:
            return _error("invalid_request")
        self._world.count("revocations")
        grants.end(grant.realm_id, grant.client_id)
        return web.Response(status=200)

    async def user(self, request: web.Request) -> web.Response:
        """Who gave consent."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        access = self._world.grants.access_tokens.get(token)
        if access is None or not access.grant.alive or access.expires_at <= self._world.now():
            return _error("invalid_token", status=401)
        user = {"sub": "c5f0e1d2-ada", "email": "ada@acme.example", "emailVerified": True}
        return web.json_response({**user, "givenName": "Ada", "familyName": "Lovelace"})

    def _client(self, request: web.Request) -> App | None:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        app = self._world.grants.apps.get(unquote(name))
        if app is None or not hmac.compare_digest(app.client_secret.encode(), secret.encode()):
            return None
        return app


async def _token_of(request: web.Request) -> str:
    # The documentation sends JSON, node-quickbooks a form: Intuit takes both.
    text = (await request.read()).decode(errors="replace")
    if request.content_type == FORM:
        return dict(parse_qsl(text)).get("token", "")
    try:
        read = json.loads(text)
    except ValueError:
        return ""
    return str(read.get("token", "")) if isinstance(read, dict) else ""


def _error(word: str, description: str = "", status: int = 400) -> web.Response:
    body = {"error": word} | ({"error_description": description} if description else {})
    return web.json_response(body, status=status)
