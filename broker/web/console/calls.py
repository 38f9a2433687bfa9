"""Proxied calls in the console: how many, how fast, what went wrong, and each of them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.stores.proxy.calls import Calls, CallStep, LoggedCall
from broker.web.api.calls import decode_cursor, encode_cursor, statuses_of
from broker.web.console.base import ConsoleBase, for_operators

PAGE = 50

SPANS = {
    "hour": (timedelta(hours=1), timedelta(minutes=1)),
    "day": (timedelta(days=1), timedelta(minutes=20)),
    "week": (timedelta(days=7), timedelta(hours=2)),
}
"""How far back a chart looks, and in which steps."""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
STATUSES = ("2xx", "3xx", "4xx", "429", "5xx")


class CallViews:
    """`/console/calls`."""

    def __init__(self, console: ConsoleBase, calls: Calls) -> None:
        self.console = console
        self._calls = calls

    @for_operators("calls")
    async def index(self, request: web.Request, operator: Operator) -> web.Response:
        """Charts, what went wrong, accounts, and the calls one by one."""
        apps = await self.console.apps(operator)
        slug = request.query.get("app", apps[0].slug if apps else "")
        span = request.query.get("span", "hour")
        span = span if span in SPANS else "hour"
        shown: dict[str, Any] = {"chart": None, "errors": [], "accounts": []}
        if slug:
            app = await self.console.app(operator, slug)
            back, step = SPANS[span]
            steps = await self._calls.chart(app, back, step)
            shown = {
                "chart": chart_data(steps, datetime.now(UTC), back, step),
                "errors": await self._calls.errors(app, back),
                "accounts": await self._calls.accounts(app, back),
            }
        return self.console.render(
            operator,
            "charts.part.html" if "HX-Request" in request.headers else "calls.html",
            "calls",
            apps=apps,
            slug=slug,
            span=span,
            spans=list(SPANS),
            statuses=STATUSES,
            methods=METHODS,
            chosen=filters_in(request.query),
            **shown,
        )

    @for_operators("calls")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """One call: who made it with which key, what came of it, and what that means."""
        app = await self.console.app(operator, request.query.get("app", ""))
        found = await self._calls.of_request(app, request.query.get("id", "")[:200])
        if not found:
            raise web.HTTPNotFound
        return self.console.render(operator, "call.html", "calls", slug=app.slug, call=found[0])

    @for_operators("calls")
    async def log(self, request: web.Request, operator: Operator) -> web.Response:
        """Calls one by one, newest first, as a part of other pages."""
        query = request.query
        app = await self.console.app(operator, query.get("app", ""))
        chosen = filters_in(query)
        more = None
        if chosen["request"]:
            found: list[LoggedCall] = await self._calls.of_request(app, chosen["request"])
        else:
            found = await self._calls.page(
                app,
                user_ref=chosen["user"] or None,
                statuses=statuses_of(chosen["status"] or None),
                since=None,
                before=decode_cursor(query["after"]) if query.get("after") else None,
                limit=PAGE + 1,
                method=chosen["method"] or None,
                path=chosen["path"] or None,
            )
            if len(found) > PAGE:
                place = {"after": encode_cursor(found[PAGE - 1])}
                more = urlencode({"app": app.slug, **chosen, **place})
        return self.console.render(
            operator, "calls.part.html", slug=app.slug, calls=found[:PAGE], more=more
        )


def filters_in(query: Mapping[str, str]) -> dict[str, str]:
    """The filters that a query names, each empty where it names none."""
    filters = {
        name: query.get(name, "").strip()[:255].replace("\x00", "")
        for name in ("request", "user", "method", "path", "status")
    }
    if filters["status"] not in STATUSES:
        filters["status"] = ""
    if filters["method"] not in METHODS:
        filters["method"] = ""
    return filters


def chart_data(
    steps: list[CallStep], now: datetime, back: timedelta, step: timedelta
) -> dict[str, Any]:
    """Steps as columns for the charts, with empty ones where nothing was called."""
    by_time = {int(each.step.timestamp()): each for each in steps}
    wide = int(step.total_seconds())
    # The database bins from the same midnight.
    first = int((now - back).timestamp()) // wide * wide
    times = list(range(first, int(now.timestamp()) + 1, wide))
    found = [by_time.get(time) for time in times]

    def column(name: str, empty: int | None) -> list[int | None]:
        return [empty if each is None else getattr(each, name) for each in found]

    return {
        "times": times,
        "calls": column("calls", 0),
        "limited": column("limited", 0),
        "refused": column("refused", 0),
        "failed": column("failed", 0),
        "p50": column("p50", None),
        "p95": column("p95", None),
        "total": sum(each.calls for each in steps),
        "wrong": sum(each.limited + each.refused + each.failed for each in steps),
    }
