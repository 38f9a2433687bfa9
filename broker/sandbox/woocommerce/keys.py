"""Who sent a request: keys by Basic or in the query over HTTPS, by OAuth 1.0a signature anywhere
(class-wc-rest-authentication.php).
"""

import base64
import binascii
import hashlib
import hmac
from urllib.parse import quote, unquote

from aiohttp import web

from broker.sandbox.woocommerce.rest.answers import RestError, unauthenticated
from broker.sandbox.woocommerce.site import ApiKey, Site

OAUTH = (
    "oauth_consumer_key", "oauth_timestamp", "oauth_nonce", "oauth_signature",
    "oauth_signature_method",
)  # fmt: skip
WINDOW_S = 15 * 60
REALM = (
    "WooCommerce API. Use a consumer key in the username field and a consumer secret in the "
    "password field."
)
HASHES = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256}


def authenticate(site: Site, request: web.Request, query: dict[str, str]) -> ApiKey | None:
    """The key of a request, or None when it has none that is known. Raises RestError when
    credentials are there but do not hold, or the key may not do this.
    """
    key = None
    if not site.levers.plain_http:
        key = _plain(site, request, query)
    if key is None:
        key = _signed(site, request, query)
    if key is None:
        return None
    right = "read" if request.method in {"GET", "HEAD"} else "write"
    if right not in key.permissions.split("_"):
        raise unauthenticated(f"The API key provided does not have {right} permissions.")
    key.calls += 1
    return key


def _plain(site: Site, request: web.Request, query: dict[str, str]) -> ApiKey | None:
    name, secret = query.get("consumer_key", ""), query.get("consumer_secret", "")
    if not name or not secret:
        name, secret = _basic(site, request)
    key = site.keys.get(name)
    if key is None:
        return None
    if not hmac.compare_digest(key.consumer_secret.encode(), secret.encode()):
        refused = unauthenticated("Consumer secret is invalid.")
        refused.headers["WWW-Authenticate"] = f'Basic realm="{REALM}"'
        raise refused
    return key


def _basic(site: Site, request: web.Request) -> tuple[str, str]:
    scheme, _, value = _authorization(site, request).partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = base64.b64decode(value).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, secret


def _authorization(site: Site, request: web.Request) -> str:
    stripped = site.levers.strip_auth_header
    return "" if stripped else request.headers.get("Authorization", "")


def _signed(site: Site, request: web.Request, query: dict[str, str]) -> ApiKey | None:
    params = {**query, **_header(site, request)}
    missing = [name for name in OAUTH if not params.get(name)]
    if len(missing) == len(OAUTH):
        return None
    if missing:
        plural = "s" if len(missing) > 1 else ""
        message = f"Missing OAuth parameter{plural} {', '.join(missing)}"
        raise RestError(401, "woocommerce_rest_authentication_missing_parameter", message)
    key = site.keys.get(params["oauth_consumer_key"])
    if key is None:
        raise unauthenticated("Consumer key is invalid.")
    method = params["oauth_signature_method"]
    if method not in HASHES:
        raise unauthenticated("Invalid signature - signature method is invalid.")
    signature = params.pop("oauth_signature").replace(" ", "+")
    if not any(
        hmac.compare_digest(_signature(key, request, params, scheme).encode(), signature.encode())
        for scheme in ("http", "https")
    ):
        raise unauthenticated("Invalid signature - provided signature does not match.")
    _check_nonce(site, key, params["oauth_timestamp"], params["oauth_nonce"])
    return key


def _header(site: Site, request: web.Request) -> dict[str, str]:
    scheme, _, rest = _authorization(site, request).partition(" ")
    if scheme != "OAuth":
        return {}
    pairs = (each.strip().partition("=") for each in rest.split(","))
    return {
        name: unquote(value.strip('"')) for name, _, value in pairs if name.startswith("oauth_")
    }


def _signature(key: ApiKey, request: web.Request, params: dict[str, str], scheme: str) -> str:
    """The signature that the parameters should have; the host is that of the request."""
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in params.items())
    joined = "%26".join(_encoded(f"{name}={value}") for name, value in pairs)
    url = f"{scheme}://{request.host}{request.rel_url.raw_path}"
    text = f"{request.method}&{_encoded(url)}&{joined}"
    digest = HASHES[params["oauth_signature_method"]]
    made = hmac.new(f"{key.consumer_secret}&".encode(), text.encode(), digest).digest()
    return base64.b64encode(made).decode()


def _encoded(text: str) -> str:
    return quote(text, safe="~")


def _check_nonce(site: Site, key: ApiKey, timestamp: str, nonce: str) -> None:
    now = site.now()
    if not timestamp.isdecimal() or abs(int(timestamp) - now) > WINDOW_S:
        raise unauthenticated("Invalid timestamp.")
    key.nonces = {each: at for each, at in key.nonces.items() if at > now - WINDOW_S}
    if nonce in key.nonces:
        raise unauthenticated("Invalid nonce - nonce has already been used.")
    key.nonces[nonce] = now
