"""Every address of the console, and which view answers it."""

from collections.abc import Awaitable, Callable, Sequence
from types import MethodType

from aiohttp import web

from broker.web.console.apps import AppViews
from broker.web.console.audit import AuditViews
from broker.web.console.calls import CallViews
from broker.web.console.connections import ConnectionViews
from broker.web.console.deliveries import DeliveryViews
from broker.web.console.events import EventViews
from broker.web.console.home import HomeViews
from broker.web.console.keys import KeyViews
from broker.web.console.playground import PlaygroundViews
from broker.web.console.sign_in import SignInViews

View = Callable[..., Awaitable[web.StreamResponse]]

TABLE: tuple[tuple[str, str, View], ...] = (
    ("GET", "/sign-in", SignInViews.sign_in_form),
    ("POST", "/sign-in", SignInViews.sign_in),
    ("POST", "/sign-out", SignInViews.sign_out),
    ("GET", "", HomeViews.home),
    ("GET", "/", HomeViews.home),
    ("GET", "/apps", AppViews.index),
    ("POST", "/apps", AppViews.register),
    ("GET", "/register", AppViews.new_form),
    ("GET", "/apps/{slug}", AppViews.show),
    ("POST", "/apps/{slug}", AppViews.change),
    ("POST", "/apps/{slug}/check", AppViews.check),
    ("POST", "/apps/{slug}/remove", AppViews.remove),
    ("GET", "/connections", ConnectionViews.index),
    ("GET", "/connection", ConnectionViews.show),
    ("POST", "/connection/link", ConnectionViews.link),
    ("POST", "/connection/renew", ConnectionViews.renew),
    ("POST", "/connection/delete", ConnectionViews.delete),
    ("GET", "/playground", PlaygroundViews.form),
    ("GET", "/playground/users", PlaygroundViews.users),
    ("POST", "/playground", PlaygroundViews.call),
    ("GET", "/calls", CallViews.index),
    ("GET", "/calls/log", CallViews.log),
    ("GET", "/call", CallViews.show),
    ("GET", "/events", EventViews.index),
    ("GET", "/event", EventViews.event),
    ("GET", "/deliveries", DeliveryViews.index),
    ("POST", "/deliveries/replay", DeliveryViews.replay_dead),
    ("GET", "/endpoints", EventViews.endpoints),
    ("POST", "/endpoints", EventViews.register),
    ("GET", "/endpoint", EventViews.show),
    ("POST", "/endpoint/test", EventViews.test),
    ("POST", "/endpoint/rotate", EventViews.rotate),
    ("POST", "/endpoint/enable", EventViews.enable),
    ("POST", "/endpoint/remove", EventViews.remove),
    ("POST", "/endpoint/replay", EventViews.replay),
    ("POST", "/endpoint/span", EventViews.replay_span),
    ("GET", "/keys", KeyViews.index),
    ("POST", "/keys", KeyViews.create),
    ("GET", "/key", KeyViews.show),
    ("POST", "/key", KeyViews.change),
    ("POST", "/keys/revoke", KeyViews.revoke),
    ("GET", "/audit", AuditViews.index),
)

ELSEWHERE: tuple[tuple[str, str, View], ...] = (("GET", "/{path:.+}", HomeViews.missing),)
"""What comes after the addresses of all panels."""


def routes(
    views: Sequence[object], table: Sequence[tuple[str, str, View]] = TABLE
) -> list[web.RouteDef]:
    """The console's routes; `views` holds one of each class that the table names, unless it holds
    methods of theirs already.
    """
    owners = {id(each): view for view in views for each in vars(type(view)).values()}
    found = []
    for method, path, view in table:
        bound = isinstance(view, MethodType)
        handler = view if bound else MethodType(view, owners[id(view)])
        if method == "GET":
            found.append(web.get(f"/console{path}", handler, allow_head=False))
        else:
            found.append(web.route(method, f"/console{path}", handler))
    return found
