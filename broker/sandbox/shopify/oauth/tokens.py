"""The token endpoint of a shop: codes, refresh, client credentials, exchange of a session token,
and the one-way change of a token that never ends into one that does.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from broker.sandbox.shopify.addressing import paths, shop_of
from broker.sandbox.shopify.apps import App
from broker.sandbox.shopify.grants import RefreshToken
from broker.sandbox.shopify.pages import render
from broker.sandbox.shopify.store.records import Shop
from broker.sandbox.shopify.world import Shopify

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
OFFLINE = "urn:shopify:params:oauth:token-type:offline-access-token"
SESSION_KIND = "urn:ietf:params:oauth:token-type:id_token"


class TokenEndpoint:
    """`/admin/oauth/access_token`, and the end of a grant at `/admin/api_permissions`."""

    def __init__(self, world: Shopify) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        revoke = "/admin/api_permissions/current.json"
        return [
            *(web.post(path, self.token) for path in paths("/admin/oauth/access_token")),
            *(web.delete(path, self.revoke) for path in paths(revoke)),
        ]

    async def token(self, request: web.Request) -> web.Response:
        """Any grant, from JSON or a form."""
        shop = shop_of(self._world, request)
        if shop is None:
            return web.json_response({"errors": "Not Found"}, status=404)
        fields = await _fields(request)
        app = self._world.apps.get(str(fields.get("client_id", "")))
        if app is None:
            return _refused(
                400, "invalid_request", "Could not find Shopify API application with api_key"
            )
        secret = str(fields.get("client_secret", ""))
        if not hmac.compare_digest(secret.encode(), app.client_secret.encode()):
            return _refused(401, "invalid_client", "The client secret is invalid")
        grant = fields.get("grant_type")
        if grant == "client_credentials":
            return self._credentials(app, shop)
        if grant == "refresh_token":
            return self._refresh(app, shop, str(fields.get("refresh_token", "")))
        if grant == EXCHANGE:
            return self._exchange(app, shop, fields)
        if grant in {None, "authorization_code"}:
            return self._code(app, shop, fields)
        return _refused(400, "unsupported_grant_type", "The grant type is not supported")

    def _code(self, app: App, shop: Shop, fields: Mapping[str, Any]) -> web.Response:
        text = str(fields.get("code", ""))
        code = self._world.grants.redeem_code(text, app.client_id, shop.domain)
        if code is None:
            problem = "The authorization code was not found or was already used"
            return _refused(400, "invalid_request", problem)
        return self._issue(app, shop, code.scopes, expiring=_true(fields.get("expiring")))

    def _refresh(self, app: App, shop: Shop, text: str) -> web.Response:
        grace = self._world.levers.old_refresh_grace
        used = self._world.grants.use_refresh(text, app.client_id, shop.domain, grace=grace)
        if used is None:
            problem = "This request requires an active refresh_token"
            return _refused(401, "invalid_request", problem)
        return self._issue(app, shop, used.scopes, expiring=True, parent=used)

    def _credentials(self, app: App, shop: Shop) -> web.Response:
        pages = self._world.levers.error_pages
        if shop.domain not in app.own_shops:
            problem = "Client credentials cannot be performed on this shop."
            return _denied("shop_not_permitted", problem, pages)
        scopes = shop.installed.get(app.client_id)
        if scopes is None:
            return _denied("app_not_installed", "The app is not installed on this shop.", pages)
        lifetime = self._world.levers.credentials_lifetime
        access = self._world.grants.issue_access(app.client_id, shop.domain, scopes, lifetime)
        return web.json_response(
            {
                "access_token": access.token,
                "scope": ",".join(scopes),
                "expires_in": int(lifetime),
            }
        )

    def _exchange(self, app: App, shop: Shop, fields: Mapping[str, Any]) -> web.Response:
        kind, subject = fields.get("subject_token_type"), str(fields.get("subject_token", ""))
        if fields.get("requested_token_type") != OFFLINE:
            return _refused(400, "invalid_request", "The requested_token_type is not supported")
        expiring = _true(fields.get("expiring"))
        if kind == SESSION_KIND:
            if not self._session_is_good(app, shop, subject):
                return _refused(400, "invalid_subject_token", "The subject token is invalid")
            scopes = shop.installed.get(app.client_id)
            if scopes is None:
                return _refused(400, "invalid_request", "The app is not installed on this shop")
            return self._issue(app, shop, scopes, expiring=expiring)
        access = self._world.grants.valid(subject) if kind == OFFLINE else None
        is_own = access is not None and (access.client_id, access.shop) == (
            app.client_id,
            shop.domain,
        )
        if access is None or not is_own or access.expires_at is not None or not expiring:
            return _refused(400, "invalid_subject_token", "The subject token is invalid")
        access.revoked = True
        return self._issue(app, shop, access.scopes, expiring=True)

    def _session_is_good(self, app: App, shop: Shop, text: str) -> bool:
        """Whether a session token (a JWT, HS256 by the app's secret) is for this app and shop."""
        signed, _, signature = text.rpartition(".")
        digest = hmac.new(app.client_secret.encode(), signed.encode(), hashlib.sha256).digest()
        expected = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return False
        try:
            part = signed.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            return bool(
                claims["aud"] == app.client_id
                and claims["dest"] == f"https://{shop.domain}"
                and float(claims["exp"]) > self._world.now()
            )
        except (IndexError, KeyError, TypeError, ValueError):
            return False

    def _issue(
        self,
        app: App,
        shop: Shop,
        scopes: list[str],
        *,
        expiring: bool,
        parent: RefreshToken | None = None,
    ) -> web.Response:
        grants, levers = self._world.grants, self._world.levers
        lifetime = levers.access_lifetime if expiring else None
        access = grants.issue_access(app.client_id, shop.domain, scopes, lifetime)
        body: dict[str, Any] = {"access_token": access.token, "scope": ",".join(scopes)}
        if expiring:
            refresh = grants.issue_refresh(
                app.client_id, shop.domain, scopes, levers.refresh_lifetime, parent
            )
            body |= {
                "expires_in": int(levers.access_lifetime),
                "refresh_token": refresh.token,
                "refresh_token_expires_in": int(refresh.expires_at - self._world.now()),
            }
        return web.json_response(body)

    async def revoke(self, request: web.Request) -> web.Response:
        """Uninstall the app that a token belongs to."""
        shop = shop_of(self._world, request)
        access = self._world.grants.valid(request.headers.get("X-Shopify-Access-Token", ""))
        if shop is None or access is None or access.shop != shop.domain:
            problem = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            return web.json_response({"errors": problem}, status=401)
        self._world.uninstall(self._world.apps[access.client_id], shop)
        return web.Response(status=200)


async def _fields(request: web.Request) -> Mapping[str, Any]:
    if request.content_type != "application/json":
        return {name: str(value) for name, value in (await request.post()).items()}
    try:
        read = json.loads(await request.read())
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _true(value: object) -> bool:
    return str(value).lower() in {"1", "true"}


def _refused(status: int, error: str, description: str) -> web.Response:
    body = {"error": error, "error_description": description}
    return web.json_response(body, status=status)


def _denied(error: str, description: str, as_page: bool) -> web.Response:
    if as_page:
        return render("problem.html", status=400, problem=f"Oauth error {error}: {description}")
    return _refused(400, error, description)
