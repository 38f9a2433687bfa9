"""What a site's answers say of a key and of limits. No I/O."""

import json
from collections.abc import Mapping
from typing import Any

from broker.providers.calls.limits import LARGEST, QuotaLimit, RateLimitInfo, retry_after

CALLS = QuotaLimit("calls", LARGEST, 10.0)
"""Sites announce no limits; their hosts and firewalls may still refuse with 429."""

AUTHENTICATION = "woocommerce_rest_authentication_error"
ANONYMOUS = "woocommerce_rest_cannot_"
LACKS_RIGHT = "does not have"


def rejects_key(status: int, body: bytes) -> bool:
    """Whether a refusal says that the key is not known, or not with this secret.

    A key that is unknown leaves a request anonymous, and what an anonymous one may not do is 401
    (403 is for users without the right). A key without the right for the method is 401 as well,
    in words of its own.
    """
    if status != 401:
        return False
    fields = read_object(body)
    code, message = str(fields.get("code", "")), str(fields.get("message", ""))
    return code.startswith(ANONYMOUS) or (code == AUTHENTICATION and LACKS_RIGHT not in message)


def accepts_key(status: int, body: bytes) -> bool:
    """Whether an answer to a read shows that the key is known, even if it may not read."""
    if 200 <= status < 300:
        return isinstance(_json(body), list)
    code = str(read_object(body).get("code", ""))
    return status in {401, 403} and bool(code) and not rejects_key(status, body)


def is_wordpress(body: bytes) -> bool:
    """Whether a body is one of WordPress's: JSON, be it a list or an error with a code."""
    found = _json(body)
    return isinstance(found, list) or (isinstance(found, dict) and "code" in found)


def read_rate_limit(status: int, headers: Mapping[str, str]) -> RateLimitInfo | None:
    """What an answer says of limits, None when nothing."""
    if status != 429:
        return None
    return RateLimitInfo(None, CALLS.interval, False, "", retry_after(headers))


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object; empty for anything else."""
    found = _json(body)
    return found if isinstance(found, dict) else {}


def _json(body: bytes) -> Any:
    try:
        # Some plugins put a byte order mark before everything that a site says.
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
