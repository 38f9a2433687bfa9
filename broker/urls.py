"""Every address of the broker, and who answers."""

from typing import Any

from broker.web import openapi
from broker.web.actions import ActionPages
from broker.web.apps import AppPages
from broker.web.calls import CallPages
from broker.web.connections import ConnectionPages
from broker.web.deliveries import DeliveryPages
from broker.web.endpoints import EndpointPages
from broker.web.health import DocumentPages, HealthPages
from broker.web.install import InstallPages
from broker.web.proxy import METHODS, ProxyPages
from broker.web.recipes import KybPages
from broker.web.runs import RunPages
from broker.web.stackgo import StackGoPages
from broker.web.tokens import TokenPages
from broker.web.vendors import VendorPages
from broker.web.webhooks import WebhookPages

WORKSPACE = "{workspace:[0-9A-Fa-f-]{36}}"

CONNECTION = "/api/apps/{slug}/connections/{user}"
RECIPE = "/api/apps/{slug}/recipes/kyb"
ENDPOINT = "/api/apps/{slug}/endpoints/{id}"

URL_TABLE: tuple[tuple[str, str, type, str], ...] = (
    ("POST", "/oauth/token", TokenPages, "token"),
    ("POST", "/api/apps", AppPages, "register"),
    ("GET", "/api/apps", AppPages, "index"),
    ("GET", "/api/apps/{slug}", AppPages, "show"),
    ("PATCH", "/api/apps/{slug}", AppPages, "change"),
    ("DELETE", "/api/apps/{slug}", AppPages, "remove"),
    ("GET", "/api/hubspot/auth/{slug}", StackGoPages, "link"),
    ("GET", f"/hubspot/{{slug:[^/]+}}-{WORKSPACE}/callback", InstallPages, "callback"),
    ("POST", f"/hubspot/{{slug:[^/]+}}-{WORKSPACE}/webhooks", WebhookPages, "hubspot"),
    ("POST", "/api/hubspot/claims/{claim}", ConnectionPages, "claim"),
    ("POST", "/api/connections/confirm", ConnectionPages, "confirm"),
    ("GET", "/api/saas-org-user/get-users/{slug}", StackGoPages, "users"),
    ("GET", "/api/saas-org-user/get-user/{slug}", StackGoPages, "user"),
    ("DELETE", "/api/saas-org-user/delete-user/{slug}", StackGoPages, "delete"),
    ("GET", "/api/apps/{slug}/connections", ConnectionPages, "index"),
    ("GET", CONNECTION, ConnectionPages, "show"),
    ("DELETE", CONNECTION, ConnectionPages, "delete"),
    ("POST", f"{CONNECTION}/renew", ConnectionPages, "renew"),
    ("POST", f"{CONNECTION}/import", ConnectionPages, "bring_in"),
    ("POST", "/api/apps/{slug}/endpoints", EndpointPages, "register"),
    ("GET", "/api/apps/{slug}/endpoints", EndpointPages, "index"),
    ("GET", ENDPOINT, EndpointPages, "show"),
    ("PATCH", ENDPOINT, EndpointPages, "change"),
    ("DELETE", ENDPOINT, EndpointPages, "remove"),
    ("GET", f"{ENDPOINT}/deliveries", DeliveryPages, "deliveries"),
    ("POST", f"{ENDPOINT}/replay", DeliveryPages, "replay_span"),
    ("POST", f"{ENDPOINT}/test", DeliveryPages, "test"),
    ("POST", f"{ENDPOINT}/rotate", EndpointPages, "rotate"),
    ("POST", "/api/apps/{slug}/deliveries/{id}/replay", DeliveryPages, "replay"),
    ("GET", "/api/apps/{slug}/calls", CallPages, "index"),
    ("PUT", RECIPE, KybPages, "put"),
    ("GET", RECIPE, KybPages, "show"),
    ("DELETE", RECIPE, KybPages, "remove"),
    ("GET", "/api/recipes/runs/{id}", RunPages, "show"),
    ("POST", "/api/recipes/runs/{id}/retry", RunPages, "retry"),
    ("POST", "/api/recipes/kyb/{slug}", KybPages, "kick_off"),
    ("POST", "/api/recipes/kyb/{slug}/setup", KybPages, "prepare"),
    ("GET", "/api/recipes/kyb/{slug}/runs", RunPages, "index"),
    ("GET", "/api/recipes/kyb/{slug}/parked", RunPages, "parked"),
    ("POST", f"/hubspot/{{slug:[^/]+}}-{WORKSPACE}/actions/kyb", ActionPages, "kyb"),
    ("POST", f"/fml/{{slug:[^/]+}}-{WORKSPACE}/webhooks", VendorPages, "fml"),
    ("POST", "/api/raw/{slug}", ProxyPages, "wrapped"),
    ("POST", "/api/hubspot/proxy/{slug}", ProxyPages, "wrapped"),
    ("*", "/proxy/{slug}/{user}/{target:[\\s\\S]*}", ProxyPages, "transparent"),
    ("GET", "/healthz", HealthPages, "alive"),
    ("GET", "/readyz", HealthPages, "ready"),
    ("GET", "/openapi.json", DocumentPages, "openapi"),
)
"""Every address, and who answers."""


def described(public_url: str) -> dict[str, Any]:
    """The OpenAPI document of the URL table."""
    rows = [
        (each, path, getattr(pages, name))
        for method, path, pages, name in URL_TABLE
        for each in (METHODS if method == "*" else (method,))
    ]
    return openapi.document(rows, public_url)
