"""The token endpoint in every version, introspection, revocation, uninstall."""

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from broker.sandbox.hubspot.answers import Refused, answer, oauth_error
from broker.sandbox.hubspot.grants import AccessToken, App, RefreshToken
from broker.sandbox.hubspot.portal import FIRST_USER_ID
from broker.sandbox.hubspot.world import Sandbox

CODE_LIFETIME_S = 60.0


class TokenEndpoints:
    """`/oauth/{version}/token` and what belongs to it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.post("/oauth/{version:v1|v3|2026-03|2026-09}/token", self.token),
            web.post("/oauth/{version:v3|2026-03|2026-09}/token/introspect", self.introspect),
            web.post("/oauth/{version:v3|2026-03|2026-09}/token/revoke", self.revoke),
            web.get("/oauth/v1/access-tokens/{token}", self.describe_v1),
            web.get("/oauth/v1/refresh-tokens/{token}", self.describe_v1),
            web.delete("/oauth/v1/refresh-tokens/{token}", self.delete_v1),
        ]

    async def token(self, request: web.Request) -> web.Response:
        """Exchange a code, or renew a grant. Form bodies only, as HubSpot documents."""
        form = await _form(request)
        grant_type = form.get("grant_type")
        if grant_type == "refresh_token":
            self._sandbox.refreshes += 1
        app = self._client(form)
        if isinstance(app, web.Response):
            return app
        if grant_type == "authorization_code":
            return self._exchange(app, form)
        if grant_type == "refresh_token":
            return self._refresh(app, form)
        if grant_type == "client_credentials":
            return self._for_the_app(app, form)
        return oauth_error("unsupported_grant_type", "BAD_GRANT_TYPE", "unknown grant type")

    def _exchange(self, app: App, form: dict[str, str]) -> web.Response:
        sandbox = self._sandbox
        sandbox.exchanges += 1
        code = sandbox.grants.codes.pop(form.get("code", ""), None)
        if code is None or code.client_id != app.client_id or code.expires_at < sandbox.now():
            return oauth_error("invalid_grant", "BAD_AUTH_CODE", "missing or unknown auth code")
        if form.get("redirect_uri") != code.redirect_url:
            return oauth_error("invalid_grant", "BAD_REDIRECT_URI", "redirect_uri does not match")
        if code.challenge is not None and _s256(form.get("code_verifier", "")) != code.challenge:
            return oauth_error("invalid_grant", "BAD_CODE_VERIFIER", "code verifier does not match")
        refresh = self._shared(app, code.hub_id) if sandbox.shares_refresh_tokens else None
        if refresh is None:
            refresh = sandbox.grants.issue_refresh(
                app.client_id, code.hub_id, code.user, code.scopes
            )
        sandbox.journal.record_life(app.client_id, code.hub_id, "APP_INSTALL")
        return self._tokens(refresh)

    def _refresh(self, app: App, form: dict[str, str]) -> web.Response:
        refresh = self._sandbox.grants.refresh_tokens.get(form.get("refresh_token", ""))
        if refresh is None or not refresh.alive or refresh.client_id != app.client_id:
            message = "refresh token is invalid, expired or revoked"
            return oauth_error("invalid_grant", "BAD_REFRESH_TOKEN", message)
        if refresh.hub_id not in self._sandbox.portals:
            return oauth_error("access_denied", "BAD_HUB", "missing or unknown hub id")
        if self._sandbox.rotates_refresh_tokens:
            refresh = self._sandbox.grants.rotate(refresh)
        refresh.generation += 1
        return self._tokens(refresh)

    def _for_the_app(self, app: App, form: dict[str, str]) -> web.Response:
        """A token of the app itself, for no portal: the webhooks journal takes it."""
        scopes = form.get("scope", "").split()
        refresh = RefreshToken("", app.client_id, 0, "", scopes)
        lifetime = self._sandbox.token_lifetime
        issued = self._sandbox.grants.issue_access(refresh, self._sandbox.now() + lifetime)
        return answer(
            {
                "token_type": "bearer",
                "access_token": issued.token,
                "scopes": scopes,
                "expires_in": lifetime,
                "token_use": "client_credentials",
            }
        )

    def _shared(self, app: App, hub_id: int) -> RefreshToken | None:
        for refresh in self._sandbox.grants.refresh_tokens.values():
            if refresh.alive and (refresh.client_id, refresh.hub_id) == (app.client_id, hub_id):
                return refresh
        return None

    def _tokens(self, refresh: RefreshToken) -> web.Response:
        sandbox = self._sandbox
        lifetime = sandbox.token_lifetime
        access = sandbox.grants.issue_access(refresh, sandbox.now() + lifetime)
        return answer(
            {
                "token_type": "bearer",
                "refresh_token": refresh.token,
                "access_token": access.token,
                "hub_id": refresh.hub_id,
                "scopes": refresh.scopes,
                "expires_in": lifetime,
                "token_use": "access_token",
            }
        )

    async def introspect(self, request: web.Request) -> web.Response:
        """Describe a token; `{"active": false}` for one that is unknown or expired."""
        form = await _form(request)
        self._sandbox.introspections += 1
        app = self._client(form)
        if isinstance(app, web.Response):
            return app
        access = self._sandbox.grants.access_tokens.get(form.get("token", ""))
        if access is not None and self._lives(access):
            return answer(self._described(access.refresh, access))
        refresh = self._sandbox.grants.refresh_tokens.get(form.get("token", ""))
        if refresh is not None and refresh.alive:
            return answer(self._described(refresh, None))
        return answer({"active": False})

    async def revoke(self, request: web.Request) -> web.Response:
        """End a refresh token; access tokens already issued live on until they run out."""
        form = await _form(request)
        app = self._client(form)
        if isinstance(app, web.Response):
            return app
        self._end(form.get("token", ""))
        return web.Response(status=200)

    def _end(self, token: str) -> None:
        self._sandbox.revocations.append(token)
        refresh = self._sandbox.grants.refresh_tokens.get(token)
        if refresh is not None:
            refresh.alive = False

    async def describe_v1(self, request: web.Request) -> web.Response:
        """Describe a token, as v1 does with the token in its path."""
        token, grants = request.match_info["token"], self._sandbox.grants
        access, refresh = grants.access_tokens.get(token), grants.refresh_tokens.get(token)
        if access is not None and self._lives(access):
            described = self._described(access.refresh, access)
        elif refresh is not None and refresh.alive:
            described = self._described(refresh, None)
        else:
            raise Refused(404, "The token is missing or unknown", "OBJECT_NOT_FOUND")
        for name in ("active", "token_use", "is_private_distribution"):
            described.pop(name, None)
        described["token_type"] = "access" if access is not None else "refresh"
        described.pop("app_id" if access is None else "client_id")
        return answer(described)

    async def delete_v1(self, request: web.Request) -> web.Response:
        """End a refresh token, as v1 does with the token in its path."""
        self._end(request.match_info["token"])
        return web.Response(status=204)

    def _client(self, form: dict[str, str]) -> App | web.Response:
        app = self._sandbox.apps.get(form.get("client_id", ""))
        if app is None:
            return oauth_error("invalid_client", "BAD_CLIENT_ID", "missing or invalid client id")
        if app.client_secret != form.get("client_secret"):
            message = "missing or invalid client secret"
            return oauth_error("invalid_client", "BAD_CLIENT_SECRET", message)
        return app

    def _lives(self, access: AccessToken) -> bool:
        return access.alive and access.expires_at > self._sandbox.now()

    def _described(self, refresh: RefreshToken, access: AccessToken | None) -> dict[str, Any]:
        portal, app = self._sandbox.portals[refresh.hub_id], self._sandbox.apps[refresh.client_id]
        user_id = FIRST_USER_ID + portal.users.index(refresh.user)
        described = {
            "active": True,
            "token": access.token if access else refresh.token,
            "hub_id": refresh.hub_id,
            "user_id": user_id,
            "client_id": refresh.client_id,
            "app_id": app.app_id,
            "user": refresh.user,
            "hub_domain": portal.domain,
            "scopes": refresh.scopes,
            "token_use": "access_token" if access else "refresh_token",
            "token_type": "Bearer",
        }
        if access is not None:
            described["expires_in"] = int(access.expires_at - self._sandbox.now())
            described["is_private_distribution"] = False
            described["signed_access_token"] = _signed(refresh, access, app, user_id)
        return described


def _signed(refresh: RefreshToken, access: AccessToken, app: App, user_id: int) -> dict[str, Any]:
    return {
        "expiresAt": int(access.expires_at * 1000),
        "scopes": ",".join(refresh.scopes),
        "hubId": refresh.hub_id,
        "userId": user_id,
        "appId": app.app_id,
        "appInstallId": f"{app.app_id}-{refresh.hub_id}",
        "audience": "",
        "installingUserId": user_id,
        "signature": "",
        "newSignature": "",
        "scopeToScopeGroupPks": "",
        "hublet": "na1",
        "trialScopes": "",
        "trialScopeToScopeGroupPks": "",
        "isUserLevel": False,
        "isPrivateDistribution": False,
        "isServiceAccount": False,
    }


async def _form(request: web.Request) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise Refused(415, "Unsupported Media Type")
    return dict(parse_qsl((await request.read()).decode(), keep_blank_values=True))


def _s256(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
