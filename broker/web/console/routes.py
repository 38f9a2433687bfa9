"""Every address of the console, and who answers."""

from collections.abc import Sequence

from aiohttp import web

from broker.web.console.apps import AppDesk
from broker.web.console.calls import CallDesk
from broker.web.console.connections import ConnectionDesk
from broker.web.console.events import EventDesk
from broker.web.console.keys import KeyDesk
from broker.web.console.kyb import KybDesk
from broker.web.console.kyb_settings import KybSettingsDesk
from broker.web.console.playground import PlaygroundDesk
from broker.web.console.sign_in import SignInPages

TABLE: tuple[tuple[str, str, type, str], ...] = (
    ("GET", "/sign-in", SignInPages, "ask"),
    ("POST", "/sign-in", SignInPages, "sign_in"),
    ("POST", "/sign-out", SignInPages, "sign_out"),
    ("GET", "", SignInPages, "home"),
    ("GET", "/", SignInPages, "home"),
    ("GET", "/apps", AppDesk, "index"),
    ("POST", "/apps", AppDesk, "register"),
    ("GET", "/register", AppDesk, "blank"),
    ("GET", "/apps/{slug}", AppDesk, "show"),
    ("POST", "/apps/{slug}", AppDesk, "change"),
    ("POST", "/apps/{slug}/check", AppDesk, "check"),
    ("POST", "/apps/{slug}/remove", AppDesk, "remove"),
    ("GET", "/connections", ConnectionDesk, "index"),
    ("GET", "/connection", ConnectionDesk, "show"),
    ("POST", "/connection/link", ConnectionDesk, "link"),
    ("POST", "/connection/renew", ConnectionDesk, "renew"),
    ("POST", "/connection/delete", ConnectionDesk, "delete"),
    ("GET", "/playground", PlaygroundDesk, "ask"),
    ("GET", "/playground/users", PlaygroundDesk, "users"),
    ("POST", "/playground", PlaygroundDesk, "call"),
    ("GET", "/calls", CallDesk, "index"),
    ("GET", "/calls/log", CallDesk, "log"),
    ("GET", "/events", EventDesk, "index"),
    ("GET", "/event", EventDesk, "event"),
    ("GET", "/endpoints", EventDesk, "endpoints"),
    ("POST", "/endpoints", EventDesk, "register"),
    ("GET", "/endpoint", EventDesk, "show"),
    ("POST", "/endpoint/test", EventDesk, "test"),
    ("POST", "/endpoint/rotate", EventDesk, "rotate"),
    ("POST", "/endpoint/enable", EventDesk, "enable"),
    ("POST", "/endpoint/remove", EventDesk, "remove"),
    ("POST", "/endpoint/replay", EventDesk, "replay"),
    ("POST", "/endpoint/span", EventDesk, "replay_span"),
    ("GET", "/kyb", KybDesk, "index"),
    ("POST", "/kyb", KybDesk, "start"),
    ("GET", "/kyb/run", KybDesk, "show"),
    ("POST", "/kyb/retry", KybDesk, "retry"),
    ("GET", "/kyb/parked", KybDesk, "parked"),
    ("GET", "/kyb/settings", KybSettingsDesk, "show"),
    ("POST", "/kyb/settings", KybSettingsDesk, "put"),
    ("POST", "/kyb/remove", KybSettingsDesk, "remove"),
    ("POST", "/kyb/prepare", KybSettingsDesk, "prepare"),
    ("GET", "/keys", KeyDesk, "index"),
    ("POST", "/keys", KeyDesk, "create"),
    ("POST", "/keys/revoke", KeyDesk, "revoke"),
)


def routes(parts: Sequence[object]) -> list[web.RouteDef]:
    """The console's routes, of parts that are one of each kind in the table."""
    by_kind = {type(part): part for part in parts}
    return [
        web.get(f"/console{path}", getattr(by_kind[kind], name), allow_head=False)
        if method == "GET"
        else web.route(method, f"/console{path}", getattr(by_kind[kind], name))
        for method, path, kind, name in TABLE
    ]
