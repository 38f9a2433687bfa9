"""Shopify's Admin API on the wire: hosts, limits, and which answers may be repeated. No I/O.

Sources: https://shopify.dev/docs/api/usage/limits (points, restore rates, the REST bucket),
https://shopify.dev/docs/api/usage/response-codes (402, 423, 430 and 540).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from broker.providers.calls.destination import decoded
from broker.providers.calls.limits import LARGEST, QuotaLimit, RateLimitInfo, number
from broker.providers.calls.retrying import RetryRules
from broker.providers.oauth import json_object

VERSION = "2026-10"
"""The version of the broker's own calls; a caller's are in its paths."""

SHOP_QUERY = "{ shop { name myshopifyDomain } }"

POINTS = QuotaLimit("graphql", LARGEST, 1.0)
"""GraphQL is counted in points, of which every answer says how many are left."""

REST = QuotaLimit("rest", 40, 20.0, announced=True, smallest=(40, 20.0))
"""A bucket of 40 calls that drains by two a second, larger for larger plans: so many calls in
twenty seconds never fill it."""

REST_LIMIT = "x-shopify-shop-api-call-limit"
REST_DRAINS_IN_S = 20.0

RETRIES = RetryRules(transient=RetryRules().transient | {540})

LONGEST_WAIT_S = 60.0

_GRAPHQL = re.compile(r"/admin/api/(?:[^/]+/)?graphql(\.json)?/*", re.IGNORECASE)
_STATUS = re.compile(rb'"throttleStatus"\s*:\s*\{([^{}]*)\}')
_REQUESTED = re.compile(rb'"requestedQueryCost"\s*:\s*(\d{1,9})')
_AVAILABLE = re.compile(rb'"currentlyAvailable"\s*:\s*(\d{1,9})')
_RATE = re.compile(rb'"restoreRate"\s*:\s*(\d{1,9})')

_WORDS = frozenset(
    re.findall(
        r"\S+",
        """
    abandoned_checkouts access_scopes activate addresses admin api application_charges
    application_credits apply articles assigned_fulfillment_orders authors blogs cancel
    carrier_services checkouts close collection_listings collections collects comments complete
    count countries currencies custom_collections customers customer_saved_searches current
    deprecated_api_calls discount_codes disputes draft_orders events fulfillment_orders
    fulfillment_services fulfillments gift_cards graphql hold images inventory_items
    inventory_levels invoices locations lookup marketing_events metafields
    mobile_platform_applications move open orders pages payments payment_terms payouts policies
    price_rules products product_listings provinces recurring_application_charges redirects refunds
    release_hold reports
    resource_feedback risks script_tags search send_invoice set shipping_zones shop
    smart_collections storefront_access_tokens tags tender_transactions themes transactions users
    variants webhooks
    """,
    )
)
"""The words of the Admin API's paths (its REST reference); all else in a path is a caller's."""

_VERSION = re.compile(r"\d{4}-\d{2}|unstable")
DEPTH = 12


def is_graphql(target: str) -> bool:
    """Whether a target is the GraphQL endpoint."""
    path = target.partition("?")[0]
    return "graphql" in path.lower() and _GRAPHQL.fullmatch(decoded(path)) is not None


def quota_of(target: str) -> QuotaLimit:
    """The limit that counts a call."""
    return POINTS if is_graphql(target) else REST


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a `Retry-After`, which Shopify writes with decimals (`2.0`)."""
    text = headers.get("retry-after", "").strip()
    return min(float(text), LONGEST_WAIT_S) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text) else None


def is_throttled(body: bytes) -> bool:
    """Whether a GraphQL answer of status 200 is a refusal for want of points."""
    if b"THROTTLED" not in body:
        return False
    payload = json_object(body)
    errors = payload.get("errors")
    codes = [_code(error) for error in errors] if isinstance(errors, list) else []
    return "THROTTLED" in codes and not payload.get("data")


def read_points(body: bytes, *, throttled: bool) -> RateLimitInfo | None:
    """What a GraphQL answer says of points; None when there are enough of them.

    A refusal, and an answer after which the same query would be refused, keep calls back until
    there are as many points as it asked for.
    """
    wait = _points_wait(body)
    if throttled:
        return RateLimitInfo(None, 1.0, daily_exhausted=False, refused_by="", retry_after=wait)
    if not wait:
        return None
    return RateLimitInfo(None, 1.0, daily_exhausted=False, refused_by="points", retry_after=wait)


def read_rest_limit(status: int, headers: Mapping[str, str]) -> RateLimitInfo | None:
    """What a REST answer says of the bucket of calls."""
    size = number(headers.get(REST_LIMIT, "").partition("/")[2])
    refused = "" if status == 429 else None
    if not size and refused is None:
        return None
    wait = retry_after(headers) if status == 429 else None
    return RateLimitInfo(size or None, REST_DRAINS_IN_S, False, refused, wait)


@lru_cache(maxsize=4096)
def template_of(path: str) -> str:
    """The path of a target with the words of Shopify's alone."""
    parts = [part.partition(";")[0] for part in decoded(path).split("/") if part]
    shown = [_shown(part) for part in parts[:DEPTH]]
    return "/" + "/".join([*shown, "..."] if len(parts) > DEPTH else shown)


def _shown(part: str) -> str:
    word, dot, extension = part.partition(".")
    ending = f"{dot}{extension}" if extension in {"json", "xml"} else ""
    if dot and not ending:
        return "{id}"
    known = word in _WORDS or _VERSION.fullmatch(word) is not None
    return f"{word if known else '{id}'}{ending}"


def _points_wait(body: bytes) -> float | None:
    """Seconds until there are the points that an answer's query asked for; None when it does not
    say.
    """
    # The last one: a query may give a field of its own the same name.
    statuses, requested = _STATUS.findall(body), _REQUESTED.findall(body)
    if not statuses or not requested:
        return None
    available, rate = _AVAILABLE.search(statuses[-1]), _RATE.search(statuses[-1])
    if available is None or rate is None or not int(rate[1]):
        return None
    lacking = int(requested[-1]) - int(available[1])
    return min(max(0.0, lacking / int(rate[1])), LONGEST_WAIT_S)


def _code(error: Any) -> str:
    extensions = error.get("extensions") if isinstance(error, dict) else None
    return str(extensions.get("code")) if isinstance(extensions, dict) else ""
