"""What OAuth 2.0 has in common at all providers: PKCE, the end of a grant, reading JSON."""

import json
from typing import Any

from authlib.common.security import generate_token
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from broker.domain.model import Secret

MAX_TEXT = 500

ENDS_ACCOUNT = "endsAccount"
"""Among the details of a grant whose revocation ends all of the app's grants in an account: that
account. It is not revoked while another connection of the app lives there."""


class GrantEnded(Exception):
    """The provider will never renew this grant again. The reason is the provider's word for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def new_verifier() -> Secret:
    """A PKCE verifier (RFC 7636): 64 characters of randomness."""
    return Secret(generate_token(64))


def challenge_of(verifier: Secret) -> str:
    """The S256 challenge of a PKCE verifier."""
    return str(create_s256_code_challenge(verifier.reveal()))


def json_object(body: bytes) -> dict[str, Any]:
    """A JSON object; empty for anything else."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def json_list(body: bytes) -> list[dict[str, Any]]:
    """The objects of a JSON array; empty for anything else."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return []
    return [each for each in payload if isinstance(each, dict)] if isinstance(payload, list) else []


def text_or_none(value: Any) -> str | None:
    """A text of the provider's that can be stored; None for anything else."""
    return value.replace("\0", "")[:MAX_TEXT] if isinstance(value, str) and value else None


def texts(value: Any) -> tuple[str, ...]:
    """The texts of a list."""
    if not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, str) and "\0" not in item)


def seconds_or(value: Any, default: float, longest: float) -> float:
    """A positive number of seconds, at most `longest`; the default for anything else."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return default
    return min(seconds, longest) if seconds > 0 else default
