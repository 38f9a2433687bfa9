"""HubSpot's OAuth on the wire: requests, and what the responses mean. No I/O."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from broker.domain.grants import Account, Tokens
from broker.domain.model import App, Secret
from broker.errors import CredentialsRefused, ExchangeFailed, HubSpotUnavailable
from broker.providers.calls.encodings import decoded_body
from broker.providers.oauth import (
    GrantEnded,
    challenge_of,
    json_object,
    seconds_or,
    text_or_none,
    texts,
)
from broker.providers.values import ConsentRequest

DEFAULT_LIFETIME = 1800.0
LONGEST_LIFETIME = 30 * 86_400.0

ENDED = {"BAD_REFRESH_TOKEN", "BAD_HUB"}
CREDENTIALS = {"BAD_CLIENT_ID", "BAD_CLIENT_SECRET"}
"""The `status` words of HubSpot's token endpoint; since January 2026 it sends the standard `error`
as well (https://developers.hubspot.com/changelog/new-oauth-v3-api-endpoints-and-standardized-error-responses)."""


def authorize_url(consent_url: str, app: App, request: ConsentRequest) -> str:
    """Where a user consents. Spaces are `%20`, as HubSpot's own SDKs write them."""
    query = {
        "client_id": app.client_id,
        "redirect_uri": request.redirect_url,
        "scope": " ".join(request.scopes),
        "state": request.state.reveal(),
    }
    if app.optional_scopes:
        query["optional_scope"] = " ".join(app.optional_scopes)
    if request.verifier is not None:
        query["code_challenge"] = challenge_of(request.verifier)
        query["code_challenge_method"] = "S256"
    return f"{consent_url}/oauth/authorize?{urlencode(query, quote_via=quote)}"


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


def read_tokens(status: int, body: bytes) -> Tokens:
    """The tokens in a token endpoint's response.

    Raises GrantEnded when the grant is over, CredentialsRefused when HubSpot does not know the app,
    ExchangeFailed for another final refusal, HubSpotUnavailable for everything that may pass.
    """
    payload = json_object(body)
    if status == 200:
        return _tokens(payload)
    error, word = str(payload.get("error") or ""), str(payload.get("status") or "")
    if status == 429 or status >= 500 or not (error or word):
        raise HubSpotUnavailable(f"HubSpot's token endpoint answered {status}.")
    if error == "invalid_client" or word in CREDENTIALS:
        raise CredentialsRefused("HubSpot refuses the app's client id and secret.")
    if error == "invalid_grant" or word in ENDED:
        raise GrantEnded(word if word.isidentifier() else "invalid_grant")
    raise ExchangeFailed("HubSpot refused the request for tokens.")


def read_account(status: int, body: bytes) -> Account | None:
    """Whose account a token speaks for; None when the token is not active.

    Raises HubSpotUnavailable for what is not an introspection.
    """
    payload = json_object(body)
    if status != 200 or not isinstance(payload.get("active"), bool):
        raise HubSpotUnavailable(f"HubSpot's introspection answered {status}.")
    if not payload["active"]:
        return None
    hub_id = payload.get("hub_id")
    if not isinstance(hub_id, int):
        raise HubSpotUnavailable("HubSpot's introspection names no account.")
    account = account_of(
        hub_id,
        text_or_none(payload.get("hub_domain")),
        text_or_none(payload.get("user")),
        texts(payload.get("scopes")),
    )
    app_id = payload.get("app_id")
    return replace(account, app_id=str(app_id)) if isinstance(app_id, int) else account


def read_account_info(status: int, body: bytes) -> Account | None:
    """The account of a private app's token, from the account information API."""
    payload = json_object(body)
    hub_id = payload.get("portalId")
    if status == 200 and isinstance(hub_id, int):
        return account_of(hub_id)
    if status in {401, 403}:
        return None
    raise HubSpotUnavailable(f"HubSpot's account information answered {status}.")


def says_expired(headers: Sequence[tuple[str, str]], body: bytes) -> bool:
    """Whether a 401 says that the token ran out, which a renewal cures."""
    return json_object(decoded_body(headers, body)).get("category") == "EXPIRED_AUTHENTICATION"


def account_of(
    hub_id: int,
    domain: str | None = None,
    user: str | None = None,
    scopes: tuple[str, ...] = (),
) -> Account:
    """A HubSpot account by its hub id."""
    return Account(str(hub_id), domain, user, scopes, hub_id)


def _tokens(payload: dict[str, Any]) -> Tokens:
    access, refresh = payload.get("access_token"), payload.get("refresh_token")
    if not isinstance(access, str) or not access or not access.isprintable():
        raise HubSpotUnavailable("HubSpot's token endpoint answered without a token.")
    hub_id, scopes = payload.get("hub_id"), texts(payload.get("scopes"))
    return Tokens(
        Secret(access),
        Secret(refresh) if isinstance(refresh, str) and refresh else None,
        seconds_or(payload.get("expires_in"), DEFAULT_LIFETIME, LONGEST_LIFETIME),
        account_of(hub_id, scopes=scopes) if isinstance(hub_id, int) else None,
        scopes,
    )
