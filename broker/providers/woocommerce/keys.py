"""The hand-over of a key at `/wc-auth`, and what a key pair is as a token. No I/O.

Sources: https://woocommerce.github.io/woocommerce-rest-api-docs/#auto-generating-api-keys-using-our-application-api
and WooCommerce's class-wc-auth.php: the browser goes to the site's page; the site posts the key,
unsigned, to `callback_url` and deletes it unless the answer is 200; then the browser comes back
with `success` and `user_id`.
"""

import base64
import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from broker.domain.model import Secret
from broker.errors import InvalidRequest, wrong_field
from broker.providers.oauth import json_object
from broker.providers.values import HandedOver

READ, WRITE, BOTH = "read", "write", "read_write"
SCOPES = frozenset({READ, WRITE, BOTH})
GRANTED = {READ: (READ,), WRITE: (WRITE,), BOTH: (BOTH, READ, WRITE)}
"""What a key may do, by the word for it."""

PART = re.compile(r"[!-9;-~]{1,128}")
"""A consumer key or secret: visible characters, and no colon, which would divide a Basic pair."""

STATE = re.compile(r"[A-Za-z0-9_-]{20,128}")


def authorize_url(
    site: str, app_name: str, scopes: Sequence[str], state: str, return_url: str, keys_url: str
) -> str:
    """The page at which a shopkeeper approves."""
    parameters = {
        "app_name": app_name,
        "scope": scope_of(scopes),
        "user_id": state,
        "return_url": return_url,
        "callback_url": keys_url,
    }
    return f"{site}/wc-auth/v1/authorize?{urlencode(parameters, quote_via=quote)}"


def scope_of(scopes: Sequence[str]) -> str:
    """The one word for what is asked for."""
    needed = {part for scope in scopes for part in GRANTED.get(scope, ())} & {READ, WRITE}
    return next(iter(needed)) if len(needed) == 1 else BOTH


def read_hand_over(body: bytes) -> HandedOver:
    """The key pair that a site posted, with its permissions. Raises InvalidRequest."""
    fields = json_object(body)
    state, permissions = fields.get("user_id"), fields.get("key_permissions")
    if not isinstance(state, str) or not STATE.fullmatch(state):
        raise wrong_field("user_id", "is missing or not one of ours")
    if permissions not in GRANTED:
        raise wrong_field("key_permissions", "must be read, write or read_write")
    pair = pair_of(fields.get("consumer_key"), fields.get("consumer_secret"), *SPELLING)
    return HandedOver(Secret(state), Secret(f"{permissions} {pair.reveal()}"))


SPELLING = ("consumer_key", "consumer_secret")


def parse_handed_over(credentials: Secret) -> tuple[tuple[str, ...], Secret]:
    """What a key may do, and its pair, from what `read_hand_over` kept."""
    permissions, _, pair = credentials.reveal().partition(" ")
    return GRANTED[permissions], Secret(pair)


def pair_of(key: object, secret: object, key_name: str, secret_name: str) -> Secret:
    """Consumer key and secret as one token. Raises InvalidRequest, naming the field."""
    for name, value in ((key_name, key), (secret_name, secret)):
        if value is None:
            raise wrong_field(name, "is required")
        if not isinstance(value, str) or not PART.fullmatch(value):
            raise wrong_field(name, "is not a key of WooCommerce's")
    return Secret(f"{key}:{secret}")


def basic(pair: Secret) -> tuple[str, str]:
    """The header that carries a key pair."""
    encoded = base64.b64encode(pair.reveal().encode()).decode()
    return "Authorization", f"Basic {encoded}"


def check_success(success: str | None) -> str | None:
    """OAuth's word for what the site says when the browser comes back. Raises InvalidRequest."""
    if success not in {"0", "1"}:
        raise InvalidRequest("The site's redirect does not say whether access was given.")
    return None if success == "1" else "access_denied"
