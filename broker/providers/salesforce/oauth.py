"""Salesforce's OAuth on the wire: requests, and what the responses mean. No I/O.

Sources: Salesforce Help, "OAuth 2.0 Web Server Flow", "Client Credentials Flow", "OpenID Connect
Token Introspection", "OAuth Authorization Flow Errors", "Refresh Token Rotation" (005316711: a used
refresh token that is presented again ends the grant with all its sessions).
"""

import re
from typing import Any
from urllib.parse import quote, urlencode

from broker.domain.grants import Account, Tokens
from broker.domain.model import App, ProviderClient, Secret
from broker.errors import CredentialsRefused, ExchangeFailed, ProviderUnavailable
from broker.providers.oauth import (
    GrantEnded,
    challenge_of,
    json_object,
    seconds_or,
    text_or_none,
)
from broker.providers.salesforce.hosts import api_url
from broker.providers.values import ConsentRequest

LOGIN = "login"
SESSION = "session"
GRANT = "grant"
CLIENT_CREDENTIALS = "client_credentials"
"""What a connection remembers: the host that issued its tokens, how many seconds a session of its
user lasts, and that its grant is the app's own."""

IDLE_S = 30 * 86_400.0
"""How long a refresh token lasts unused where they rotate: the rule for partners' apps."""

SHORTEST_SESSION, LONGEST_SESSION = 60.0, 7 * 86_400.0
"""An org's session timeout is 15 minutes to 24 hours; 2 hours unless it says otherwise."""

CREDENTIALS = {"invalid_client", "invalid_client_id"}
ENDED = {"inactive user": "inactive-user", "inactive organization": "inactive-organization"}
ADMINS = {
    "ip restricted": "Salesforce's allow-list for this app lacks the broker's address.",
    "no client credentials user enabled": "The app has no user to run as; an admin names one in "
    "the app's client credentials settings.",
    "request not supported on this domain": "Client credentials are accepted at the org's My "
    "Domain only.",
    "user is not admin approved to access this app": "An admin has to approve the app for the "
    "user.",
}
"""Refusals that an admin ends; the grant is as good as before then."""

PROCESSING = "already being processed"
LOGIN_RATE_S = 60

IDENTITY = re.compile(r"/id/(00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?)/005[A-Za-z0-9]{12,15}/?$")
SYNONYMS = {"refresh_token", "offline_access"}


class Processing(Exception):
    """A refresh of this grant is under way, whose answer nobody may have received."""


def authorize_url(login_url: str, app: App, request: ConsentRequest) -> str:
    """Where a user consents."""
    query = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": request.redirect_url,
        "scope": " ".join(request.scopes),
        "state": request.state.reveal(),
    }
    if request.verifier is not None:
        query["code_challenge"] = challenge_of(request.verifier)
        query["code_challenge_method"] = "S256"
    return f"{login_url}/services/oauth2/authorize?{urlencode(query, quote_via=quote)}"


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


def client_form(client: ProviderClient) -> dict[str, str]:
    """How an app proves itself, in the body: URLs and headers end up in more logs."""
    return {"client_id": client.client_id, "client_secret": client.client_secret.reveal()}


def token_form(token: Secret, hint: str) -> dict[str, str]:
    """The form of an introspection or a revocation."""
    return {"token": token.reveal(), "token_type_hint": hint}


def bearer(token: Secret) -> str:
    """The value of `Authorization` in a call."""
    return f"Bearer {token.reveal()}"


def session_header(token: Secret) -> str:
    """The value of `X-SFDC-Session` in a call of the first Bulk API."""
    return token.reveal()


def read_tokens(status: int, body: bytes, override: str | None) -> Tokens:
    """The tokens in a token endpoint's response, without an `api_url` where the response names none
    that is Salesforce's.

    Raises GrantEnded when the grant is over, CredentialsRefused when Salesforce does not know the
    app, ExchangeFailed for what an admin or a changed setting ends, ProviderUnavailable for
    everything that may pass; with a cause where another answer for this grant may be under way.
    """
    payload = json_object(body)
    if status == 200:
        return _tokens(payload, override)
    error, detail = str(payload.get("error") or ""), str(payload.get("error_description") or "")
    if PROCESSING in detail:
        raise ProviderUnavailable("Salesforce is refreshing this grant.") from Processing()
    if status >= 500 or not error or error == "unknown_error":
        raise ProviderUnavailable(f"Salesforce's token endpoint answered {status}.")
    if error == "rate_limit_exceeded" or "login rate exceeded" in detail:
        raise ProviderUnavailable(
            "Salesforce accepts no further logins of this user now.", retry_after=LOGIN_RATE_S
        )
    if error in CREDENTIALS:
        raise CredentialsRefused("Salesforce refuses the app's client id and secret.")
    if detail in ADMINS:
        raise ExchangeFailed(ADMINS[detail])
    if error == "invalid_grant":
        raise GrantEnded(ENDED.get(detail, "invalid_grant"))
    raise ExchangeFailed("Salesforce refused the request for tokens.")


def read_session(status: int, body: bytes, issued_at: float | None) -> tuple[float, str] | None:
    """How many seconds a session lasts, and whose it is, by its introspection; None where that says
    neither. `issued_at` is when its token was issued, on Salesforce's clock.
    """
    payload = json_object(body)
    if status != 200 or payload.get("active") is not True:
        return None
    try:
        seconds = float(payload["exp"]) - float(issued_at or payload["iat"])
    except (KeyError, TypeError, ValueError):
        return None
    if not seconds > 0:
        return None
    length = max(SHORTEST_SESSION, min(seconds, LONGEST_SESSION))
    return length, text_or_none(payload.get("username")) or ""


def issued_at(body: bytes) -> float | None:
    """When a token was issued, in seconds on Salesforce's clock."""
    try:
        return float(json_object(body)["issued_at"]) / 1000
    except (KeyError, TypeError, ValueError):
        return None


def session_of(details_session: str | None) -> float | None:
    """The length of a session as a connection remembers it."""
    return None if not details_session else seconds_or(details_session, 7200.0, LONGEST_SESSION)


def read_organization(status: int, body: bytes) -> tuple[str, str | None] | None:
    """The id and name of the organization, from a query; None when the answer names none."""
    records = json_object(body).get("records") if status == 200 else None
    record = records[0] if isinstance(records, list) and len(records) == 1 else None
    if not isinstance(record, dict):
        return None
    found = text_or_none(record.get("Id"))
    return None if found is None else (found, text_or_none(record.get("Name")))


def _tokens(payload: dict[str, Any], override: str | None) -> Tokens:
    access, refresh = payload.get("access_token"), payload.get("refresh_token")
    if not isinstance(access, str) or not access or not re.fullmatch(r"[!-~]+", access):
        raise ProviderUnavailable("Salesforce's token endpoint answered without a token.")
    scopes = tuple(str(payload.get("scope") or "").split())
    if SYNONYMS & set(scopes):  # one word for the other, in either direction
        scopes = (*scopes, *sorted(SYNONYMS - set(scopes)))
    named = IDENTITY.search(str(payload.get("id") or ""))
    account = None if named is None else Account(named[1], None, None, scopes)
    return Tokens(
        Secret(access),
        Secret(refresh) if isinstance(refresh, str) and refresh else None,
        None,
        account,
        scopes,
        api_url=api_url(payload.get("instance_url"), override),
    )
