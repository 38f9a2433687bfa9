"""What both OAuth's pages and its endpoints read from a request."""

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from broker.sandbox.salesforce.errors import OAuthError
from broker.sandbox.salesforce.oauth.grants import App
from broker.sandbox.salesforce.org import Org, Record
from broker.sandbox.salesforce.world import Host, Salesforce

HOST = web.RequestKey("salesforce-host", Host)


async def read_form(request: web.Request) -> dict[str, str]:
    """The fields of a form, however its body is framed; raises for a body of another type."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "unsupported content type")
    pairs = parse_qsl((await request.read()).decode(), keep_blank_values=True)
    return dict(pairs)


def authenticate(
    world: Salesforce, request: web.Request, form: dict[str, str], *, secret: bool = True
) -> App:
    """The app that sends a request, by Basic or by its body. Raises OAuthError."""
    client_id, client_secret = form.get("client_id", ""), form.get("client_secret", "")
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(value, validate=True).decode()
        except ValueError as wrong:
            raise OAuthError("invalid_client", "invalid client credentials") from wrong
        client_id, _, client_secret = pair.partition(":")
    app = world.apps.get(client_id)
    if app is None:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if secret and client_secret != app.client_secret:
        raise OAuthError("invalid_client", "invalid client credentials")
    return app


def challenge_of(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def serves(host: Host, org: Org) -> bool:
    """Whether users of an org log in at a host: its own, or the one for its kind of org."""
    if host.kind in {"org", "left"}:
        return host.org_id == org.id
    return host.kind == ("test" if org.sandbox else "login")


def identity_url(world: Salesforce, org: Org, user_id: str) -> str:
    """The `id` of token answers."""
    base = world.test_url if org.sandbox else world.login_url
    return f"{base}/id/{org.id}/{user_id}"


def users_at(world: Salesforce, host: Host) -> list[tuple[Org, Record]]:
    """The active users who can log in at a host."""
    return [
        (org, user)
        for org in world.orgs.values()
        if serves(host, org)
        for user in org.tables["User"].values()
        if user["IsActive"]
    ]


def may_use(app: App, org: Org, user: Record) -> str | None:
    """Why a user may not use an app, as an OAuth error; None when they may."""
    if user["Id"] in org.admins:
        return None
    if not app.installed:
        return "OAUTH_APPROVAL_ERROR_GENERIC"
    if not app.self_authorize and user["Username"] not in app.approved:
        return "invalid_app_access"
    return None


def identity(org: Org, user: Record) -> dict[str, Any]:
    """Who a user is, in the fields that the identity URL and userinfo share."""
    urls = {
        name: f"{org.instance_url}/services/data/v{{version}}/{path}"
        for name, path in (("rest", ""), ("sobjects", "sobjects/"), ("query", "query/"))
    }
    return {
        "user_id": user["Id"],
        "organization_id": org.id,
        "email": user["Email"],
        "email_verified": True,
        "active": user["IsActive"],
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": user["LocaleSidKey"],
        "utcOffset": 0,
        "urls": {**urls, "custom_domain": org.instance_url},
    }
