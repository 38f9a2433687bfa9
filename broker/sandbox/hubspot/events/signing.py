"""How HubSpot signs its requests
(https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation).
"""

import base64
import hashlib
import hmac
import re

# In the URI only these escapes are decoded before hashing.
DECODED = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$",
    "%27": "'", "%28": "(", "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip
_ESCAPES = re.compile("|".join(DECODED), re.IGNORECASE)


def signed(
    secret: str, method: str, url: str, body: bytes, now: float, older: str = "v1"
) -> dict[str, str]:
    """The headers of a signed request: the older signature, "v1" or "v2", and v3.

    `secret` is the app's client secret, `url` the whole URL as it is called, `now` in seconds.
    """
    timestamp = str(int(now * 1000))
    plain = v1(secret, body) if older == "v1" else v2(secret, method, url, body)
    return {
        "X-HubSpot-Signature": plain,
        "X-HubSpot-Signature-Version": older,
        "X-HubSpot-Request-Timestamp": timestamp,
        "X-HubSpot-Signature-v3": v3(secret, method, url, body, timestamp),
    }


def v1(secret: str, body: bytes) -> str:
    return hashlib.sha256(secret.encode() + body).hexdigest()


def v2(secret: str, method: str, url: str, body: bytes) -> str:
    return hashlib.sha256(f"{secret}{method}{url}".encode() + body).hexdigest()


def v3(secret: str, method: str, url: str, body: bytes, timestamp: str) -> str:
    signed_text = f"{method}{decoded(url)}".encode() + body + timestamp.encode()
    return base64.b64encode(hmac.digest(secret.encode(), signed_text, "sha256")).decode()


def decoded(url: str) -> str:
    """A URL as it is hashed for v3."""
    return _ESCAPES.sub(lambda found: DECODED[found.group().upper()], url)
