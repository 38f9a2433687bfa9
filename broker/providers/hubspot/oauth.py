"""HubSpot's OAuth on the wire: what is asked, and what the answers mean. No I/O."""

import json
import zlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from authlib.common.security import generate_token
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from broker.domain.model import Account, App, Secret, Tokens
from broker.errors import CredentialsRefused, ExchangeFailed, HubSpotUnavailable

DEFAULT_LIFETIME = 1800.0
LONGEST_LIFETIME = 30 * 86_400.0

ENDED = {"BAD_REFRESH_TOKEN", "BAD_HUB"}
CREDENTIALS = {"BAD_CLIENT_ID", "BAD_CLIENT_SECRET"}
"""The `status` words of HubSpot's token endpoint; since January 2026 the standard `error` stands
beside them (https://developers.hubspot.com/changelog/new-oauth-v3-api-endpoints-and-standardized-error-responses)."""


class GrantEnded(Exception):
    """HubSpot will never renew this grant again. The reason is HubSpot's word for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def new_verifier() -> Secret:
    """A PKCE verifier (RFC 7636): 64 characters of randomness."""
    return Secret(generate_token(64))


def authorize_url(
    consent_url: str,
    app: App,
    redirect_url: str,
    scopes: Sequence[str],
    state: Secret,
    verifier: Secret | None,
) -> str:
    """Where a user consents. Spaces are `%20`, as HubSpot's own SDKs write them."""
    query = {
        "client_id": app.client_id,
        "redirect_uri": redirect_url,
        "scope": " ".join(scopes),
        "state": state.reveal(),
    }
    if app.optional_scopes:
        query["optional_scope"] = " ".join(app.optional_scopes)
    if verifier is not None:
        query["code_challenge"] = create_s256_code_challenge(verifier.reveal())
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
    """What a token endpoint's answer brought.

    Raises GrantEnded when the grant is over, CredentialsRefused when HubSpot does not know the app,
    ExchangeFailed for another final refusal, HubSpotUnavailable for everything that may pass.
    """
    answer = _object(body)
    if status == 200:
        return _tokens(answer)
    error, word = str(answer.get("error") or ""), str(answer.get("status") or "")
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
    answer = _object(body)
    if status != 200 or not isinstance(answer.get("active"), bool):
        raise HubSpotUnavailable(f"HubSpot's introspection answered {status}.")
    if not answer["active"]:
        return None
    hub_id = answer.get("hub_id")
    if not isinstance(hub_id, int):
        raise HubSpotUnavailable("HubSpot's introspection names no account.")
    return Account(
        hub_id,
        _text(answer.get("hub_domain")),
        _text(answer.get("user")),
        _texts(answer.get("scopes")),
    )


def read_account_info(status: int, body: bytes) -> Account | None:
    """The account of a private app's token, from the account information API."""
    answer = _object(body)
    hub_id = answer.get("portalId")
    if status == 200 and isinstance(hub_id, int):
        return Account(hub_id, None, None, ())
    if status in {401, 403}:
        return None
    raise HubSpotUnavailable(f"HubSpot's account information answered {status}.")


def says_expired(headers: Sequence[tuple[str, str]], body: bytes) -> bool:
    """Whether a 401 says that the token ran out, which a renewal cures."""
    encodings = [value.lower() for name, value in headers if name.lower() == "content-encoding"]
    try:
        for encoding in encodings:
            if encoding in {"gzip", "deflate"}:
                body = zlib.decompressobj(wbits=47).decompress(body, 65_536)
            elif encoding == "br":
                import brotli  # type: ignore[import-untyped]  # noqa: PLC0415  # for a rare answer

                body = brotli.decompress(body)
    except Exception:  # noqa: BLE001  # a body that cannot be read says nothing
        return False
    return _object(body).get("category") == "EXPIRED_AUTHENTICATION"


def _tokens(answer: dict[str, Any]) -> Tokens:
    access, refresh = answer.get("access_token"), answer.get("refresh_token")
    if not isinstance(access, str) or not access or not access.isprintable():
        raise HubSpotUnavailable("HubSpot's token endpoint answered without a token.")
    hub_id = answer.get("hub_id")
    return Tokens(
        Secret(access),
        Secret(refresh) if isinstance(refresh, str) and refresh else None,
        _lifetime(answer.get("expires_in")),
        hub_id if isinstance(hub_id, int) else None,
        _texts(answer.get("scopes")),
    )


def _lifetime(said: Any) -> float:
    try:
        seconds = float(said)
    except (TypeError, ValueError):
        return DEFAULT_LIFETIME
    return min(seconds, LONGEST_LIFETIME) if seconds > 0 else DEFAULT_LIFETIME


def _object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _text(value: Any) -> str | None:
    return value.replace("\0", "")[:500] if isinstance(value, str) and value else None


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, str) and "\0" not in item)
