"""Intuit's OAuth on the wire: requests, and what the responses mean. No I/O.

Sources: Intuit's OAuth 2.0 guide and discovery document; the refresh token policy of 2025-11-12
(https://blogs.intuit.com); the Java, PHP and .NET SDKs of May 2026 for the header that asks for the
end of a grant.
"""

import base64
import re
from typing import Any
from urllib.parse import quote, urlencode

from broker.domain.grants import Account, Tokens
from broker.domain.model import App, ProviderClient, Secret
from broker.errors import CredentialsRefused, ExchangeFailed, ProviderUnavailable
from broker.providers.oauth import GrantEnded, json_object, seconds_or, text_or_none
from broker.providers.values import ConsentRequest

DEFAULT_LIFETIME = 3600.0
LONGEST_LIFETIME = 86_400.0
DEFAULT_IDLE = 100 * 86_400.0
LONGEST_END = 5 * 366 * 86_400.0

REALM = "realmId"
REALM_ID = re.compile(r"[0-9]{1,32}")
"""A company's id: digits, up to 19 as seen."""

ASK_FOR_END = {"x-include-refresh-token-hard-expires-in": "true"}
"""Has an answer say when the grant ends however often it is renewed: five years after consent."""


def authorize_url(consent_url: str, app: App, request: ConsentRequest) -> str:
    """Where a user consents and chooses the company."""
    query = {
        "client_id": app.client_id,
        "response_type": "code",
        "scope": " ".join(request.scopes),
        "redirect_uri": request.redirect_url,
        "state": request.state.reveal(),
    }
    return f"{consent_url}/connect/oauth2?{urlencode(query, quote_via=quote)}"


def client_headers(client: ProviderClient) -> dict[str, str]:
    """How an app proves itself (RFC 6749 section 2.3.1)."""
    pair = f"{client.client_id}:{client.client_secret.reveal()}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def bearer(token: Secret) -> str:
    """The value of `Authorization` in a call."""
    return f"Bearer {token.reveal()}"


def exchange_form(code: Secret, redirect_url: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": redirect_url,
    }


def refresh_form(refresh_token: Secret) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}


def revocation(token: Secret) -> dict[str, str]:
    """The JSON body of a revocation."""
    return {"token": token.reveal()}


def read_tokens(status: int, body: bytes) -> Tokens:
    """The tokens in a token endpoint's response.

    Raises GrantEnded when the grant is over, CredentialsRefused when Intuit does not know the app,
    ExchangeFailed for another final refusal, ProviderUnavailable for everything that may pass.
    """
    payload = json_object(body)
    if status == 200:
        return _tokens(payload)
    error = str(payload.get("error") or "")
    if status >= 500 or not error:
        raise ProviderUnavailable(f"QuickBooks' token endpoint answered {status}.")
    if error == "invalid_client":
        raise CredentialsRefused("QuickBooks refuses the app's client id and secret.")
    if error == "invalid_grant":
        raise GrantEnded("invalid_grant")
    raise ExchangeFailed("QuickBooks refused the request for tokens.")


def read_account(realm_id: str, status: int, body: bytes) -> Account | None:
    """The company of a realm, from its company information; None when the token is not for it.

    Raises ProviderUnavailable for what says neither.
    """
    payload = json_object(body)
    info = payload.get("CompanyInfo")
    if status == 200 and isinstance(info, dict):
        return Account(realm_id, text_or_none(info.get("CompanyName")), None, ())
    if status in {400, 401, 403, 404}:
        return None
    raise ProviderUnavailable(f"QuickBooks' company information answered {status}.")


def _tokens(payload: dict[str, Any]) -> Tokens:
    access, refresh = payload.get("access_token"), payload.get("refresh_token")
    if not isinstance(access, str) or not access or not access.isprintable():
        raise ProviderUnavailable("QuickBooks' token endpoint answered without a token.")
    end = payload.get("x_refresh_token_hard_expires_in")
    return Tokens(
        Secret(access),
        Secret(refresh) if isinstance(refresh, str) and refresh else None,
        seconds_or(payload.get("expires_in"), DEFAULT_LIFETIME, LONGEST_LIFETIME),
        refresh_expires_in=seconds_or(
            payload.get("x_refresh_token_expires_in"), DEFAULT_IDLE, LONGEST_END
        ),
        ends_in=None if end is None else seconds_or(end, LONGEST_END, LONGEST_END),
    )
