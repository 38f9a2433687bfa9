"""Which route of a site's REST API a call means. No I/O.

WordPress has two spellings: `/wp-json/wc/v3/orders`, and `/?rest_route=/wc/v3/orders`, which alone
works on sites with plain permalinks. A `rest_route` in the query overrules the path, `_method`
overrules the method (class-wp.php, class-wp-rest-server.php), and PHP reads `rest.route` and
`rest%20route` as `rest_route`. What could mean another call than it shows is refused.
"""

import re
from functools import lru_cache
from urllib.parse import unquote

from broker.errors import InvalidRequest
from broker.providers.calls.destination import decoded
from broker.providers.calls.effects import Effect, effect_of_method

PREFIX = "/wp-json"
INDEX = frozenset({"/", "/index.php"})
ROUTE = "rest_route"

MEANING = re.compile(r"(rest_route|_method|consumer_key|consumer_secret|oauth_\w+)(_.*)?")
"""Names in a query that choose a route or a method, or hold credentials."""

BATCHES = re.compile(r"/batch(/|$)", re.IGNORECASE)
"""Routes whose body says what is created, changed and deleted."""

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
"""Bodies out of which PHP takes parameters, `rest_route` among them."""

WORDS = frozenset(
    re.findall(
        r"\S+",
        """
    wp-json wc wp batch coupons customers downloads orders notes refunds products attributes terms
    categories reviews shipping_classes tags variations reports sales top_sellers totals taxes
    classes settings shipping zones locations methods shipping_methods payment_gateways
    system_status tools webhooks data continents countries currencies current custom-fields names
    receipt actions send_email generate posts pages media users me v1 v2 v3
    """,
    )
)
"""Words of WooCommerce's and WordPress's own routes (their REST references)."""

DEPTH = 10


def route_of(target: str) -> str:
    """The path of a call in its one spelling, `/wp-json/...`. Raises InvalidRequest for what is not
    a call to the REST API, or might mean another.
    """
    path, _, query = target.partition("?")
    routes = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        meaning = _as_php_reads(name)
        if meaning == ROUTE and name == ROUTE:
            routes.append(unquote(value.replace("+", " ")))
        elif found := MEANING.fullmatch(meaning):
            raise InvalidRequest(
                f"{found[1]} does not belong in a query; the broker adds the credentials, and path "
                "and method of the call are your request's own."
            )
    if path == PREFIX or path.startswith(f"{PREFIX}/"):
        if not routes:
            return path
    elif path in INDEX and len(routes) == 1 and routes[0].startswith("/"):
        return PREFIX + routes[0]
    raise InvalidRequest(
        "Only the site's REST API can be called: /wp-json/... or /?rest_route=/..., not both."
    )


def plain_target(target: str) -> str:
    """A target as a site with plain permalinks has it."""
    path, _, query = target.partition("?")
    if path in INDEX:
        return target
    route = path.removeprefix(PREFIX) or "/"
    return f"/?{ROUTE}={route}{'&' if query else ''}{query}"


def effect_of(method: str, target: str) -> Effect:
    """What a call does: by its method, but for batches, which may delete."""
    effect = effect_of_method(method)
    return "delete" if effect == "write" and BATCHES.search(decoded(target)) else effect


@lru_cache(maxsize=4096)
def template_of(target: str) -> str:
    """A call's path of WooCommerce's words alone."""
    try:
        route = route_of(target)
    except InvalidRequest:
        return "/{id}"
    parts = [part for part in decoded(route).split("/") if part]
    shown = [part if part in WORDS else "{id}" for part in parts[:DEPTH]]
    return "/" + "/".join([*shown, *(["..."] if len(parts) > DEPTH else [])])


def is_form(content_type: str) -> bool:
    """Whether PHP would take parameters out of a body of this type."""
    return content_type.partition(";")[0].strip().lower() in FORMS


def _as_php_reads(name: str) -> str:
    """A name in a query as PHP has it (php.net, "Variables From External Sources")."""
    return re.sub(r"[ .\[\]]", "_", unquote(name.replace("+", " ")).lstrip(" ")).lower()
