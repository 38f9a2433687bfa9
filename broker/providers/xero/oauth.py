"""Xero's OAuth on the wire: requests, and what the responses mean. No I/O.

Sources: Xero's OpenAPI documents (XeroAPI/Xero-OpenAPI 16.1.0: identity), its OAuth 2.0 guides.
"""

import base64
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from broker.domain.grants import Account, Tokens
from broker.domain.model import App, ProviderClient, Secret
from broker.errors import CredentialsRefused, ExchangeFailed, ProviderUnavailable
from broker.providers.oauth import (
    ENDS_ACCOUNT,
    GrantEnded,
    challenge_of,
    json_list,
    json_object,
    seconds_or,
    text_or_none,
)
from broker.providers.values import ConsentRequest

DEFAULT_LIFETIME = 1800.0
LONGEST_LIFETIME = 86_400.0

IDLE = 60 * 86_400.0
"""A refresh token ends after 60 days without use."""

OFFLINE = "offline_access"
"""The scope without which there is no refresh token."""

GRANT = "grant"
CLIENT_CREDENTIALS = "client_credentials"
"""What a custom connection remembers: that its tokens are asked for by the app itself."""

CONNECTION = "connectionId"
"""What a connection remembers: Xero's name of the app's connection to the organisation."""


def authorize_url(consent_url: str, app: App, request: ConsentRequest) -> str:
    """Where a user consents and chooses organisations."""
    query = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": request.redirect_url,
        "scope": " ".join(dict.fromkeys((*request.scopes, OFFLINE))),
        "state": request.state.reveal(),
    }
    if request.verifier is not None:
        query["code_challenge"] = challenge_of(request.verifier)
        query["code_challenge_method"] = "S256"
    return f"{consent_url}/identity/connect/authorize?{urlencode(query, quote_via=quote)}"


def client_headers(client: ProviderClient) -> dict[str, str]:
    """How an app proves itself (RFC 6749 section 2.3.1)."""
    pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret.reveal(), safe='')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def bearer(token: Secret) -> str:
    """The value of `Authorization` in a call."""
    return f"Bearer {token.reveal()}"


def exchange_form(code: Secret, redirect_url: str, verifier: Secret | None) -> dict[str, str]:
    form = {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": redirect_url,
    }
    if verifier is not None:
        form["code_verifier"] = verifier.reveal()
    return form


def refresh_form(refresh_token: Secret) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}


def client_credentials_form(scopes: Sequence[str]) -> dict[str, str]:
    """What a custom connection asks with; without scopes it gets all that it was given."""
    form = {"grant_type": CLIENT_CREDENTIALS}
    return {**form, "scope": " ".join(scopes)} if scopes else form


def revocation_form(refresh_token: Secret) -> dict[str, str]:
    return {"token": refresh_token.reveal()}


def read_tokens(status: int, body: bytes) -> Tokens:
    """The tokens in a token endpoint's response.

    Raises GrantEnded when the grant is over, CredentialsRefused when Xero does not know the app,
    ExchangeFailed for another final refusal, ProviderUnavailable for everything that may pass.
    """
    payload = json_object(body)
    if status == 200:
        return _tokens(payload)
    error = str(payload.get("error") or "")
    if status >= 500 or not error:
        raise ProviderUnavailable(f"Xero's token endpoint answered {status}.")
    if error == "invalid_client":
        raise CredentialsRefused("Xero refuses the app's client id and secret.")
    if error == "invalid_grant":
        raise GrantEnded("invalid_grant")
    raise ExchangeFailed("Xero refused the request for tokens.")


def auth_event_of(access_token: Secret) -> str | None:
    """The consent in which an access token was given, by its claims; they are not verified, for the
    token came from Xero itself.
    """
    claims = access_token.reveal().split(".")
    if len(claims) != 3:
        return None
    try:
        payload = json_object(base64.urlsafe_b64decode(claims[1] + "=" * (-len(claims[1]) % 4)))
    except ValueError:
        return None
    return text_or_none(payload.get("authentication_event_id"))


def read_accounts(status: int, body: bytes, scopes: Sequence[str]) -> tuple[Account, ...]:
    """The organisations that a token can be used for. Raises ProviderUnavailable for what is no
    list of them.
    """
    if status in {401, 403}:
        return ()
    if status != 200:
        raise ProviderUnavailable(f"Xero's list of connections answered {status}.")
    found = []
    for each in json_list(body):
        tenant_id, connection_id = each.get("tenantId"), each.get("id")
        if isinstance(tenant_id, str) and tenant_id and isinstance(connection_id, str):
            name = text_or_none(each.get("tenantName"))
            # Its end is one for every user of the app who has the organisation.
            details = {CONNECTION: connection_id, ENDS_ACCOUNT: tenant_id}
            found.append(Account(tenant_id, name, None, tuple(scopes), details=details))
    return tuple(found)


def _tokens(payload: dict[str, Any]) -> Tokens:
    access, refresh = payload.get("access_token"), payload.get("refresh_token")
    if not isinstance(access, str) or not access or not access.isprintable():
        raise ProviderUnavailable("Xero's token endpoint answered without a token.")
    has_refresh = isinstance(refresh, str) and bool(refresh)
    return Tokens(
        Secret(access),
        Secret(str(refresh)) if has_refresh else None,
        seconds_or(payload.get("expires_in"), DEFAULT_LIFETIME, LONGEST_LIFETIME),
        scopes=tuple(str(payload.get("scope") or "").split()),
        refresh_expires_in=IDLE if has_refresh else None,
    )
