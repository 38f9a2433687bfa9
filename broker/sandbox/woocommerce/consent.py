"""The hand-over of a key: a page at which a shopkeeper approves, and the POST that carries the key
to the app before the browser goes back to it (class-wc-auth.php).
"""

import hmac
import json
from urllib.parse import unquote, urlencode, urlsplit

import aiohttp
from aiohttp import web

from broker.sandbox.woocommerce.pages import render
from broker.sandbox.woocommerce.site import Site
from broker.sandbox.woocommerce.webhooks import LOCAL

FIELDS = ("app_name", "user_id", "return_url", "callback_url", "scope")
SCOPES = {
    "read": ("View coupons", "View customers", "View orders and sales reports", "View products"),
    "write": (
        "Create webhooks", "Create coupons", "Create customers", "Create orders", "Create products",
    ),
    "read_write": (
        "Create webhooks", "View and manage coupons", "View and manage customers",
        "View and manage orders and sales reports", "View and manage products",
    ),
}  # fmt: skip
ANSWER_WITHIN_S = 60.0
NOT_DELIVERED = (
    "An error occurred in the request and at the time were unable to send the consumer data"
)


class ConsentPages:
    """`/wc-auth/v1`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.get("/wc-auth/v1/authorize", self.show_page),
            web.get("/wc-auth/v1/access_granted", self.grant),
        ]

    async def show_page(self, request: web.Request) -> web.Response:
        """Show the page, or approve at once."""
        fields = {name: request.query.get(name, "") for name in FIELDS}
        problem = self._problem(fields)
        if problem is not None:
            return _died(problem)
        approve = f"access_granted?{urlencode({**fields, 'wc_auth_nonce': self._nonce(fields)})}"
        if self._site.levers.auto_consent:
            return web.Response(status=302, headers={"Location": f"/wc-auth/v1/{approve}"})
        return render(
            "consent.html",
            fields=fields,
            permissions=SCOPES[fields["scope"]],
            approve=approve,
            deny=_back(fields, success=0),
        )

    async def grant(self, request: web.Request) -> web.Response:
        """Make a key, post it to the app, and send the browser back; the key is gone again when
        the app does not take it with 200.
        """
        fields = {name: request.query.get(name, "") for name in FIELDS}
        problem = self._problem(fields)
        if problem is not None:
            return _died(problem)
        nonce = request.query.get("wc_auth_nonce", "")
        if not hmac.compare_digest(nonce.encode(), self._nonce(fields).encode()):
            return _died("Invalid nonce verification")
        key = self._site.add_key(fields["scope"], f"{fields['app_name']} - API")
        key_pair = {
            "key_id": key.key_id,
            "user_id": fields["user_id"],
            "consumer_key": key.consumer_key,
            "consumer_secret": key.consumer_secret,
            "key_permissions": key.permissions,
        }
        status = await _post(_formatted(fields["callback_url"]), key_pair)
        if status != 200:
            del self._site.keys[key.consumer_key]
            return _died(NOT_DELIVERED if status is not None else "A valid URL was not provided")
        return web.Response(status=302, headers={"Location": _back(fields, success=1)})

    def _problem(self, fields: dict[str, str]) -> str | None:
        for name in FIELDS:
            if not fields[name]:
                return f"Missing parameter {name}"
        if fields["scope"] not in SCOPES:
            return f"Invalid scope {fields['scope']}"
        for name in ("return_url", "callback_url"):
            if not urlsplit(_formatted(fields[name])).hostname:
                return f"The {name} is not a valid URL"
        callback = urlsplit(_formatted(fields["callback_url"]))
        local = self._site.levers.local_http and callback.hostname in LOCAL
        if callback.scheme.lower() != "https" and not local:
            return "The callback_url needs to be over SSL"
        return None

    def _nonce(self, fields: dict[str, str]) -> str:
        return self._site.hash("wc_auth_grant_access" + json.dumps(fields))[:10]


async def _post(url: str, key_pair: dict[str, object]) -> int | None:
    """Hand a key over: the status, or None when there was no answer."""
    headers = {"Content-Type": "application/json;charset=UTF-8"}
    limit = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(
                url, data=json.dumps(key_pair), headers=headers, allow_redirects=False
            ) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return None


def _formatted(url: str) -> str:
    """An address as WooCommerce reads it: decoded once more, with https by default."""
    url = unquote(url)
    return url if "://" in url else f"https://{url}"


def _back(fields: dict[str, str], *, success: int) -> str:
    url = _formatted(fields["return_url"])
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}{urlencode({'success': success, 'user_id': fields['user_id']})}"


def _died(problem: str) -> web.Response:
    return render("problem.html", status=401, problem=problem)
