"""The token endpoint: codes, refresh tokens, client credentials and assertions for sessions."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from broker.sandbox.salesforce.errors import OAuthError, json_response
from broker.sandbox.salesforce.oauth.assertions import unverified_claims, verify
from broker.sandbox.salesforce.oauth.grants import App, Code, Grant, Session
from broker.sandbox.salesforce.oauth.parameters import (
    HOST,
    authenticate,
    challenge_of,
    identity_url,
    may_use,
    read_form,
    serves,
)
from broker.sandbox.salesforce.org import DAY_S, Org
from broker.sandbox.salesforce.world import Host, Salesforce

Form = dict[str, str]
DEAD = "expired access/refresh token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class TokenEndpoint:
    """`/services/oauth2/token`."""

    def __init__(self, world: Salesforce) -> None:
        self._world = world
        self._flows: dict[str, Callable[[web.Request, Form], Awaitable[web.Response]]] = {
            "authorization_code": self._code,
            "refresh_token": self._refresh,
            "client_credentials": self._client_credentials,
            JWT_BEARER: self._assertion,
        }

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [web.post("/services/oauth2/token", self.token)]

    async def token(self, request: web.Request) -> web.Response:
        """Answer by the flow; the password flow is off."""
        form = await read_form(request)
        flow = self._flows.get(form.get("grant_type", ""))
        if flow is None:
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        return await flow(request, form)

    async def _code(self, request: web.Request, form: Form) -> web.Response:
        world = self._world
        app = authenticate(world, request, form)
        code = world.grants.codes.get(form.get("code", ""))
        if code is None or code.client_id != app.client_id or code.expires_at <= world.now():
            raise OAuthError("invalid_grant", "expired authorization code")
        org = world.orgs[code.org_id]
        if not serves(request[HOST], org):
            raise OAuthError("invalid_grant", "expired authorization code")
        if form.get("redirect_uri") != code.redirect_uri:
            raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
        del world.grants.codes[form["code"]]
        if code.challenge is not None and challenge_of(form.get("code_verifier", "")) != (
            code.challenge
        ):
            raise OAuthError("invalid_grant", "invalid code verifier")
        self._check_user(org, code.user_id)
        grant = world.grants.open(code, world.now())
        world.count("exchanges")
        return self._answer(app, org, self._session(org, code, grant), grant.refresh_token)

    async def _refresh(self, request: web.Request, form: Form) -> web.Response:
        world = self._world
        app = authenticate(world, request, form)
        presented = form.get("refresh_token", "")
        grant = world.grants.by_refresh_token.get(presented)
        if grant is None or not grant.alive or grant.client_id != app.client_id:
            raise OAuthError("invalid_grant", DEAD)
        org = world.orgs[grant.org_id]
        if not serves(request[HOST], org):
            raise OAuthError("invalid_grant", DEAD)
        if grant.busy and world.levers.concurrent_refresh_refused:
            raise OAuthError("invalid_request", "Token request is already being processed.")
        grant.busy = True
        try:
            await asyncio.sleep(world.levers.refresh_seconds)
            self._check_refresh(org, grant, presented)
        finally:
            grant.busy = False
        world.count("refreshes")
        grant.used_at = world.now()
        rotated = None
        if world.levers.rtr:
            world.grants.rotate(grant)
            rotated = grant.refresh_token
        return self._answer(app, org, self._renewed(org, grant), rotated)

    def _check_refresh(self, org: Org, grant: Grant, presented: str) -> None:
        world, levers = self._world, self._world.levers
        if presented in grant.spent:
            if levers.reuse_detection:
                world.grants.revoke(grant)
                world.count("reuses")
            raise OAuthError("invalid_grant", DEAD)
        idle_s = world.now() - grant.used_at
        if levers.idle_days is not None and idle_s > levers.idle_days * DAY_S:
            world.grants.revoke(grant)
        if not grant.alive:
            raise OAuthError("invalid_grant", DEAD)
        if levers.ip_restricted:
            raise OAuthError("invalid_grant", "ip restricted")
        self._check_user(org, grant.user_id)

    def _renewed(self, org: Org, grant: Grant) -> Session:
        world = self._world
        if world.levers.reuses_sessions:
            for session in grant.sessions:
                if world.grants.find_session(session.token, world.now()):
                    return session
        return self._session(org, self._as_code(grant), grant)

    async def _client_credentials(self, request: web.Request, form: Form) -> web.Response:
        world, host = self._world, request[HOST]
        if host.kind in {"login", "test"}:
            raise OAuthError("invalid_grant", "request not supported on this domain")
        app = authenticate(world, request, form)
        org = world.orgs[host.org_id]
        user = org.find_user(app.run_as) if app.run_as else None
        if user is None:
            raise OAuthError("invalid_grant", "no client credentials user enabled")
        self._check_user(org, user["Id"])
        session = self._session(org, self._as_user(app, org, user["Id"]), None)
        return self._answer(app, org, session, None, api_instance_url=org.instance_url)

    async def _assertion(self, request: web.Request, form: Form) -> web.Response:
        world, host = self._world, request[HOST]
        assertion = form.get("assertion", "")
        app = world.apps.get(str(unverified_claims(assertion).get("iss")))
        if app is None or not app.certificate:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        username = verify(assertion, app.certificate, self._audiences(host), world.now())
        found = world.find_user(username)
        if found is None or not serves(host, found[0]):
            raise OAuthError("invalid_grant", "authentication failure")
        org, user = found
        if username not in app.approved:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")
        self._check_user(org, user["Id"])
        session = self._session(org, self._as_user(app, org, user["Id"]), None)
        return self._answer(app, org, session, None)

    def _audiences(self, host: Host) -> set[str]:
        official = {"login": "https://login.salesforce.com", "test": "https://test.salesforce.com"}
        if host.kind in official:
            return {host.url, official[host.kind]}
        return {host.url, *official.values()}

    def _check_user(self, org: Org, user_id: str) -> None:
        user = org.tables["User"][user_id]
        if not user["IsActive"]:
            raise OAuthError("invalid_grant", "inactive user")
        if not self._world.count_login(user_id):
            raise OAuthError("rate_limit_exceeded", "login rate exceeded", 403)

    def _as_user(self, app: App, org: Org, user_id: str) -> Code:
        refusal = may_use(app, org, org.tables["User"][user_id])
        if refusal is not None:
            problem = "user is not admin approved to access this app"
            raise OAuthError("invalid_app_access", problem)
        scopes = [each for each in app.scopes if each not in {"refresh_token", "offline_access"}]
        return Code(app.client_id, org.id, user_id, scopes, "", None, 0)

    def _as_code(self, grant: Grant) -> Code:
        return Code(grant.client_id, grant.org_id, grant.user_id, grant.scopes, "", None, 0)

    def _session(self, org: Org, code: Code, grant: Grant | None) -> Session:
        timeout_s = org.levers.session_minutes * 60
        return self._world.grants.open_session(code, self._world.now(), timeout_s, grant)

    def _answer(
        self, app: App, org: Org, session: Session, refresh_token: str | None, **rest: Any
    ) -> web.Response:
        url = identity_url(self._world, org, session.user_id)
        issued_at = str(int(self._world.now() * 1000))
        signed = hmac.new(app.client_secret.encode(), (url + issued_at).encode(), hashlib.sha256)
        body = {
            "access_token": session.token,
            "signature": base64.b64encode(signed.digest()).decode(),
            "scope": " ".join(session.scopes),
            "instance_url": org.instance_url,
            "id": url,
            "token_type": "Bearer",
            "issued_at": issued_at,
            **rest,
        }
        if refresh_token is not None:
            body["refresh_token"] = refresh_token
        return json_response(body)
