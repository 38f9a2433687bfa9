"""Shopify's OAuth on the wire: requests, and what the responses mean. No I/O.

Sources: https://shopify.dev/docs/apps/build/authentication-authorization (authorization code grant,
offline access tokens, client credentials grant), the changelog of 2026-08-28 for refresh tokens
that were used before, and the source of `@shopify/shopify-api` 13 for names of fields.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from broker.domain.grants import Account, Tokens
from broker.domain.model import App, ProviderClient, Secret
from broker.errors import CredentialsRefused, ExchangeFailed, ProviderUnavailable
from broker.providers.oauth import ENDS_ACCOUNT, GrantEnded, json_object, seconds_or, text_or_none
from broker.providers.values import ConsentRequest

SHOP = "shop"
SHOP_DOMAIN = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\.myshopify\.com")
"""A shop's permanent domain; no other host is ever a shop."""

DEFAULT_LIFETIME = 3600.0
LONGEST_LIFETIME = 30 * 86_400.0
DEFAULT_REFRESH_LIFETIME = 90 * 86_400.0

CALLBACK_WINDOW_S = 3600
"""How far a callback's timestamp may be from now: links live for an hour and work once. Shopify's
libraries allow 90 seconds (JavaScript) and a day (Python)."""

CLIENT_CREDENTIALS = "client_credentials"
GRANT = "grant"
"""Among a connection's details: how it is renewed, where that is not by a refresh token."""

DENIED = ("shop_not_permitted", "app_not_installed")
"""Why client credentials are refused for a shop; the answer may be an HTML page that says so."""

_IMPLIED = re.compile(r"(unauthenticated_)?write_(.+)")
_HEXADECIMAL = re.compile(r"[0-9a-f]{64}")


def shop_of(value: str | None) -> str | None:
    """A shop's domain in lower case; None for what is not one."""
    shop = (value or "").strip().lower()
    return shop if SHOP_DOMAIN.fullmatch(shop) else None


def authorize_url(base_url: str, app: App, request: ConsentRequest) -> str:
    """Where a merchant installs the app, for an offline token. Scopes are separated by commas."""
    query = {
        "client_id": app.client_id,
        "scope": ",".join(request.scopes),
        "redirect_uri": request.redirect_url,
        "state": request.state.reveal(),
    }
    return f"{base_url}/admin/oauth/authorize?{urlencode(query, quote_via=quote)}"


def is_signed(query: Mapping[str, str], secret: Secret, now: float) -> bool:
    """Whether a callback's query was signed by Shopify just now: `hmac` is the hexadecimal
    HMAC-SHA256 over the other parameters, sorted.
    """
    signature, sent_at = query.get("hmac", ""), query.get("timestamp", "")
    if not _HEXADECIMAL.fullmatch(signature) or not re.fullmatch(r"[0-9]{1,12}", sent_at):
        return False
    pairs = (
        f"{_escaped(name).replace('=', '%3D')}={_escaped(value)}"
        for name, value in query.items()
        if name not in {"hmac", "signature"}
    )
    expected = hmac.new(
        secret.reveal().encode(), "&".join(sorted(pairs)).encode(), hashlib.sha256
    ).hexdigest()
    fresh = abs(now - int(sent_at)) <= CALLBACK_WINDOW_S
    return hmac.compare_digest(signature, expected) and fresh


def exchange_body(client: ProviderClient, code: Secret) -> dict[str, str]:
    """The body that turns a code into tokens; without `expiring` the token would have no end, which
    Shopify no longer accepts of public apps.
    """
    return {**_client(client), "code": code.reveal(), "expiring": "1"}


def refresh_body(client: ProviderClient, refresh_token: Secret) -> dict[str, str]:
    return {
        **_client(client),
        "grant_type": "refresh_token",
        "refresh_token": refresh_token.reveal(),
    }


def credentials_body(client: ProviderClient) -> dict[str, str]:
    return {**_client(client), "grant_type": CLIENT_CREDENTIALS}


def call_headers(access_token: Secret) -> dict[str, str]:
    """The headers of a call as an app in a shop."""
    return {"X-Shopify-Access-Token": access_token.reveal()}


def read_tokens(shop: str, status: int, body: bytes) -> Tokens:
    """The tokens in the response of a shop's token endpoint.

    Raises GrantEnded when the code or refresh token is not accepted, CredentialsRefused when
    Shopify does not know the app, ExchangeFailed for another final refusal, ProviderUnavailable for
    everything that may pass.
    """
    payload = json_object(body)
    if status == 200:
        return _tokens(shop, payload)
    if status in {402, 404, 423} or status >= 429:
        raise ProviderUnavailable(f"The shop's token endpoint answered {status}.")
    error, text = str(payload.get("error") or ""), body[:65_536].decode(errors="replace").lower()
    for reason in DENIED:
        if reason in text:
            raise GrantEnded(reason)
    if error == "invalid_client" or "could not find shopify api application" in text:
        raise CredentialsRefused("Shopify refuses the app's client id and secret.")
    if status == 401 and "refresh_token" in text:
        raise GrantEnded("inactive_refresh_token")
    if "code" in text and error in {"invalid_request", "invalid_grant"}:
        raise GrantEnded(error)
    if not error:
        raise ProviderUnavailable(f"The shop's token endpoint answered {status}.")
    raise ExchangeFailed("Shopify refused the request for tokens.")


def account_of(shop: str, scopes: tuple[str, ...], name: str | None = None) -> Account:
    """A shop by its permanent domain."""
    return Account(shop, name or shop, None, scopes)


def read_name(shop: str, status: int, body: bytes) -> str | None:
    """The shop's name, from the answer to `api.SHOP_QUERY`; None when it answers as another shop,
    or refuses the token.

    Raises ProviderUnavailable for what says neither.
    """
    if status in {401, 403}:
        return None
    data = json_object(body).get("data")
    found = data.get("shop") if isinstance(data, dict) else None
    if status != 200 or not isinstance(found, dict):
        raise ProviderUnavailable(f"The shop's API answered {status}.")
    if found.get("myshopifyDomain") != shop:
        return None
    return text_or_none(found.get("name")) or shop


def _tokens(shop: str, payload: dict[str, Any]) -> Tokens:
    access, refresh = payload.get("access_token"), payload.get("refresh_token")
    if not isinstance(access, str) or not access or not access.isprintable():
        raise ProviderUnavailable("The shop's token endpoint answered without a token.")
    scopes = _scopes(payload.get("scope"))
    lifetime = payload.get("expires_in")
    has_refresh = isinstance(refresh, str) and bool(refresh)
    return Tokens(
        Secret(access),
        Secret(str(refresh)) if has_refresh else None,
        None if lifetime is None else seconds_or(lifetime, DEFAULT_LIFETIME, LONGEST_LIFETIME),
        account=account_of(shop, scopes),
        scopes=scopes,
        details={SHOP: shop, ENDS_ACCOUNT: shop},
        refresh_expires_in=seconds_or(
            payload.get("refresh_token_expires_in"),
            DEFAULT_REFRESH_LIFETIME,
            2 * DEFAULT_REFRESH_LIFETIME,
        )
        if has_refresh
        else None,
    )


def _scopes(value: Any) -> tuple[str, ...]:
    """The granted scopes; one that allows writing allows reading, which Shopify leaves out then."""
    granted = [part.strip() for part in str(value or "").split(",") if part.strip().isprintable()]
    implied = [
        f"{found[1] or ''}read_{found[2]}"
        for scope in granted
        if (found := _IMPLIED.fullmatch(scope)) is not None
    ]
    return tuple(dict.fromkeys(scope for scope in (*granted, *implied) if scope))


def _client(client: ProviderClient) -> dict[str, str]:
    return {"client_id": client.client_id, "client_secret": client.client_secret.reveal()}


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("&", "%26")
