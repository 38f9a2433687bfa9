"""Endpoints about tokens: introspect, revoke, userinfo, the identity URL. SOAP's `login()` is here
too, only to be refused.
"""

from typing import Any

from aiohttp import web

from broker.sandbox.salesforce.errors import OAuthError, json_response
from broker.sandbox.salesforce.oauth.grants import Session
from broker.sandbox.salesforce.oauth.parameters import (
    authenticate,
    identity,
    identity_url,
    read_form,
)
from broker.sandbox.salesforce.world import Salesforce

_FAULT = """<?xml version="1.0" encoding="UTF-8"?>\
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" \
xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body><soapenv:Fault>\
<faultcode>sf:{code}</faultcode><faultstring>{code}: {text}</faultstring><detail>\
<sf:{code}><sf:exceptionCode>{code}</sf:exceptionCode>\
<sf:exceptionMessage>{text}</sf:exceptionMessage></sf:{code}></detail>\
</soapenv:Fault></soapenv:Body></soapenv:Envelope>"""
WITHOUT_LOGIN = 65


class SessionEndpoints:
    """`/services/oauth2/{introspect,revoke,userinfo}`, `/id/...` and `/services/Soap/...`."""

    def __init__(self, world: Salesforce) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.post("/services/oauth2/introspect", self.introspect),
            web.post("/services/oauth2/revoke", self.revoke),
            web.get("/services/oauth2/revoke", self.revoke),
            web.get("/services/oauth2/userinfo", self.userinfo),
            web.post("/services/oauth2/userinfo", self.userinfo),
            web.get("/id/{org_id}/{user_id}", self.identity),
            web.post(r"/services/Soap/{kind:[uc]}/{version:\d+\.\d}", self.login),
        ]

    async def introspect(self, request: web.Request) -> web.Response:
        """Show the state of a token to an authenticated app."""
        world, form = self._world, await read_form(request)
        app = authenticate(world, request, form)
        token = form.get("token", "")
        grant = world.grants.by_refresh_token.get(token)
        session = world.grants.find_session(token, world.now())
        body: dict[str, Any] = {"active": False}
        if session is not None and session.client_id == app.client_id:
            body = {
                "active": True,
                "scope": " ".join(session.scopes),
                "client_id": app.client_id,
                "token_type": "access_token",
                "exp": int(session.expires_at),
                "iat": int(session.issued_at),
                "nbf": int(session.issued_at),
                **self._owner(session.org_id, session.user_id),
            }
        elif grant is not None and grant.alive and grant.refresh_token == token:
            body = {
                "active": True,
                "scope": " ".join(grant.scopes),
                "client_id": app.client_id,
                "token_type": "refresh_token",
                "iat": int(grant.created_at),
                "nbf": int(grant.created_at),
                **self._owner(grant.org_id, grant.user_id),
            }
        return json_response(body)

    async def revoke(self, request: web.Request) -> web.Response:
        """End a refresh token with its sessions, or one session."""
        world = self._world
        form = dict(request.query) if request.method == "GET" else await read_form(request)
        token = form.get("token", "")
        grant = world.grants.by_refresh_token.get(token)
        session = world.grants.find_session(token, world.now())
        if grant is not None and grant.alive and grant.refresh_token == token:
            world.grants.revoke(grant)
        elif session is not None:
            session.alive = False
        else:
            raise OAuthError("invalid_token", "invalid token: " + ("revoked" if token else "none"))
        world.count("revocations")
        return web.Response()

    async def userinfo(self, request: web.Request) -> web.Response:
        """Who the session's user is, in OpenID Connect's fields."""
        session = self._session(request)
        org = self._world.orgs[session.org_id]
        user = org.tables["User"][session.user_id]
        return json_response(
            {
                "sub": identity_url(self._world, org, user["Id"]),
                "preferred_username": user["Username"],
                "nickname": user["Username"].partition("@")[0],
                "name": user["Name"],
                "given_name": user["FirstName"],
                "family_name": user["LastName"],
                "zoneinfo": user["TimeZoneSidKey"],
                **identity(org, user),
            }
        )

    async def identity(self, request: web.Request) -> web.Response:
        """The `id` of a token answer, fetched."""
        session = self._session(request)
        requested = request.match_info["org_id"], request.match_info["user_id"]
        if requested != (session.org_id, session.user_id):
            raise web.HTTPForbidden(text="Wrong_Org")
        org = self._world.orgs[session.org_id]
        user = org.tables["User"][session.user_id]
        return json_response(
            {
                "id": identity_url(self._world, org, user["Id"]),
                "asserted_user": True,
                "username": user["Username"],
                "nick_name": user["Username"].partition("@")[0],
                "display_name": user["Name"],
                "first_name": user["FirstName"],
                "last_name": user["LastName"],
                "timezone": user["TimeZoneSidKey"],
                **identity(org, user),
            }
        )

    async def login(self, request: web.Request) -> web.Response:
        """Refuse the login of SOAP, as every version does that is left."""
        version = float(request.match_info["version"])
        code, text = "INVALID_OPERATION", "SOAP API login() is disabled by default in this org."
        if version >= WITHOUT_LOGIN:
            code, text = "UNSUPPORTED_API_VERSION", f"login() is not in API version {version}"
        fault = _FAULT.format(code=code, text=text)
        return web.Response(status=500, text=fault, content_type="text/xml")

    def _owner(self, org_id: str, user_id: str) -> dict[str, str]:
        org = self._world.orgs[org_id]
        username = org.tables["User"][user_id]["Username"]
        return {"username": username, "sub": identity_url(self._world, org, user_id)}

    def _session(self, request: web.Request) -> Session:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token if scheme.lower() in {"bearer", "oauth"} else ""
        token = token or request.query.get("oauth_token", "")
        if not token:
            raise web.HTTPForbidden(text="Missing_OAuth_Token")
        session = self._world.grants.find_session(token, self._world.now())
        if session is None:
            raise web.HTTPForbidden(text="Bad_OAuth_Token")
        return session
