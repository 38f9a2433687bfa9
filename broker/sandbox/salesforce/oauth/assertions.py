"""JWT bearer assertions, checked as Salesforce checks them
(https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_jwt_flow.htm).
"""

import base64
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from broker.sandbox.salesforce.errors import OAuthError

LIFETIME_S = 180
SKEW_S = 5


def unverified_claims(assertion: str) -> dict[str, Any]:
    """The claims, to find the app whose key signs; raises OAuthError when there are none."""
    try:
        _, claims, _ = assertion.split(".")
        read = json.loads(_decoded(claims))
    except ValueError as wrong:
        raise OAuthError("invalid_grant", "invalid assertion") from wrong
    if not isinstance(read, dict):
        raise OAuthError("invalid_grant", "invalid assertion")
    return read


def verify(assertion: str, public_key: str, audiences: set[str], now: float) -> str:
    """The username that an RS256 assertion names. Raises OAuthError."""
    header, claims, signature = assertion.split(".")
    key = load_pem_public_key(public_key.encode())
    if not isinstance(key, RSAPublicKey):
        raise OAuthError("invalid_client", "invalid client credentials")
    try:
        if json.loads(_decoded(header)).get("alg") != "RS256":
            raise OAuthError("invalid_grant", "invalid assertion")
        key.verify(_decoded(signature), f"{header}.{claims}".encode(), PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError) as wrong:
        raise OAuthError("invalid_grant", "invalid assertion") from wrong
    verified = unverified_claims(assertion)
    if verified.get("aud") not in audiences:
        raise OAuthError("invalid_grant", "audience is invalid")
    expires_at = float(verified.get("exp", 0))
    if not now - SKEW_S < expires_at <= now + LIFETIME_S + SKEW_S:
        raise OAuthError("invalid_grant", "expired authorization code")
    return str(verified.get("sub", ""))


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
