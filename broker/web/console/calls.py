"""Proxied calls in the console: search, how many, how fast, what went wrong, and each of them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.errors import NotFound, code_titles
from broker.providers.base import Provider
from broker.stores.proxy.calls import CallFilter, Calls, CallStep
from broker.web.api.calls import decode_cursor, encode_cursor, statuses_of
from broker.web.console.base import ConsoleBase, for_operators
from broker.web.console.charts import Chart, Charts, Numbers, percentage
from broker.web.core.wording import label_of

PAGE = 50

SPANS = {
    "hour": (timedelta(hours=1), timedelta(minutes=1)),
    "day": (timedelta(days=1), timedelta(minutes=20)),
    "week": (timedelta(days=7), timedelta(hours=2)),
    "month": (timedelta(days=30), timedelta(hours=8)),
}
"""How far back the log looks, and in which steps its charts do."""

STATUSES = {"failed": (400, 999)} | {
    each: statuses_of(each) for each in ("2xx", "3xx", "4xx", "429", "5xx")
}
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")

FILTERS = ("span", "until", "user", "method", "path", "status", "error", "key")
"""What narrows the log, by its name in the address."""

ENDINGS = {
    "caller-left": "The caller closed the connection before the answer was complete.",
    "answer-cut": "The provider's answer broke off after its first bytes.",
}
"""What the log's own errors mean, which no caller can be sent."""


class CallViews:
    """`/console/calls` and `/console/call`."""

    def __init__(
        self, console: ConsoleBase, calls: Calls, providers: Mapping[str, Provider]
    ) -> None:
        self.console = console
        self._calls = calls
        self._providers = providers

    @for_operators("calls")
    async def index(self, request: web.Request, operator: Operator) -> web.StreamResponse:
        """Search: charts, what went wrong, accounts, and the calls one by one. A request id leads
        to its call, whichever app it was for.
        """
        apps, slug = await self.console.choose(request, operator)
        request_id, problem = _text(request.query, "request"), None
        if request_id:
            of_request = await self._calls.of_request(apps, request_id)
            if of_request:
                found, call = of_request[0]
                where = urlencode({"app": found.slug, "id": call.request_id})
                return self.console.redirect(request, f"/call?{where}")
            problem = "No call of your apps has this request id. Calls appear a second after they"
            problem += " end, and only requests that reached an app are logged."
        shown: dict[str, Any] = {"chart": None, "errors": [], "accounts": [], "calls": []}
        typed = {"span": "hour"} | _typed(request.query)
        shown |= {
            "more": None,
            "address": urlencode({"app": slug, **typed}),
            "wider": urlencode({"app": slug, **typed, "span": "month"}),
        }
        if slug:
            app = await self.console.app(operator, slug)
            now = datetime.now(UTC)
            wanted, (back, step) = self._wanted(app, typed, now)
            steps = await self._calls.chart(app, wanted, step)
            shown |= {
                "chart": chart_data(steps, min(now, wanted.until), back, step),
                "errors": [
                    (each, urlencode({**_kind(each.error, each.status), **_narrowing(app, typed)}))
                    for each in await self._calls.errors(app, wanted)
                ],
                "accounts": await self._calls.accounts(app, back),
                "label": label_of(app.provider),
            }
            if "HX-Request" not in request.headers:
                shown |= await self._page(app, typed, wanted, None)
        return self.console.render(
            operator,
            "charts.part.html" if "HX-Request" in request.headers else "calls.html",
            "calls",
            apps=apps,
            slug=slug,
            spans=list(SPANS),
            statuses=list(STATUSES),
            methods=METHODS,
            typed=typed,
            request_id=request_id,
            problem=problem,
            **shown,
        )

    @for_operators("calls")
    async def log(self, request: web.Request, operator: Operator) -> web.Response:
        """Calls one by one, newest first, as a part of other pages."""
        app = await self.console.app(operator, request.query.get("app", ""))
        typed = {"span": "month"} | _typed(request.query)
        wanted, _ = self._wanted(app, typed, datetime.now(UTC))
        page = await self._page(app, typed, wanted, request.query.get("after"))
        return self.console.render(operator, "calls.part.html", slug=app.slug, **page)

    @for_operators("calls")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """One call: who, for whom, what came of it, and what that means."""
        app = await self.console.app(operator, request.query.get("app", ""))
        of_request = await self._calls.of_request([app], _text(request.query, "id"))
        if not of_request:
            raise NotFound("There is no call with this request id in the log.")
        call = of_request[0][1]
        day = urlencode({"app": app.slug, "user": call.user_ref, "span": "day"})
        return self.console.render(
            operator,
            "call.html",
            "calls",
            app=app,
            call=call,
            label=label_of(app.provider),
            meaning=None if call.error is None else ENDINGS.get(call.error),
            title=None if call.error is None else code_titles().get(call.error),
            same_user=day,
            same_key=urlencode({"app": app.slug, "key": call.key_id, "span": "day"}),
            same_path=urlencode(
                {"app": app.slug, "method": call.method, "path": call.path, "span": "day"}
            ),
        )

    def _wanted(
        self, app: App, typed: Mapping[str, str], now: datetime
    ) -> tuple[CallFilter, tuple[timedelta, timedelta]]:
        """The calls that filters ask for, and the span and step of their charts."""
        span = SPANS.get(typed.get("span", ""), SPANS["hour"])
        until = _until(typed.get("until", ""))
        path = typed.get("path") or None
        provider = self._providers[app.provider]
        wanted = CallFilter(
            since=(until or now) - span[0],
            user_ref=typed.get("user") or None,
            statuses=_statuses(typed.get("status", "")),
            method=typed.get("method") or None,
            path=path,
            template=provider.template_of(path) if path and path.startswith("/") else None,
            error=typed.get("error") or None,
            key_id=_key_id(typed.get("key", "")),
        )
        return replace(wanted, until=until) if until else wanted, span

    async def _page(
        self, app: App, typed: Mapping[str, str], wanted: CallFilter, after: str | None
    ) -> dict[str, Any]:
        before = decode_cursor(after) if after else None
        found = await self._calls.page(app, wanted, before=before, limit=PAGE + 1)
        more = None
        if len(found) > PAGE:
            place = {"after": encode_cursor(found[PAGE - 1])}
            more = urlencode({"app": app.slug, **typed, **place})
        return {"calls": found[:PAGE], "more": more}


def _typed(query: Mapping[str, str]) -> dict[str, str]:
    """The filters of an address, without those that are empty."""
    found = {name: _text(query, name) for name in FILTERS}
    return {name: text for name, text in found.items() if text}


def _text(query: Mapping[str, str], name: str) -> str:
    return query.get(name, "").replace("\x00", "").strip()[:1000]


def _narrowing(app: App, typed: Mapping[str, str]) -> dict[str, str]:
    """The rest of an address that narrows what is shown already."""
    return {"app": app.slug} | {
        name: text for name, text in typed.items() if name not in {"status", "error"}
    }


def _kind(error: str | None, status: int | None) -> dict[str, str]:
    return {"status": str(status)} if error is None else {"error": error}


def _statuses(text: str) -> tuple[int, int]:
    if text in STATUSES:
        return STATUSES[text]
    return statuses_of(text) if len(text) == 3 and text.isdecimal() else (0, 999)


def _key_id(text: str) -> UUID | None:
    """The key of a filter; one that cannot be a key's id has no calls."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return UUID(int=0)


def _until(text: str) -> datetime | None:
    """The end of a span as a form sends it: in UTC, without a zone; None where it is not one."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def chart_data(
    steps: list[CallStep], now: datetime, back: timedelta, step: timedelta
) -> dict[str, Any]:
    """Steps as charts, with empty ones where nothing was called, and how many calls there were."""
    by_time = {int(each.step.timestamp()): each for each in steps}
    wide = int(step.total_seconds())
    # The database bins from the same midnight.
    first = int((now - back).timestamp()) // wide * wide
    times = list(range(first, int(now.timestamp()) + 1, wide))
    found = [by_time.get(time) for time in times]

    def column(name: str, empty: int | None) -> Numbers:
        return [empty if each is None else getattr(each, name) for each in found]

    def share(name: str) -> Numbers:
        return [
            None if each is None else percentage(getattr(each, name), each.calls) for each in found
        ]

    errors: Numbers = [0 if each is None else _errors_of(each) for each in found]
    rates = {"5xx": share("failed"), "other 4xx": share("refused"), "429": share("limited")}
    latency = {"p50": column("p50", None), "p95": column("p95", None)}
    return {
        "total": sum(each.calls for each in steps),
        "wrong": sum(_errors_of(each) for each in steps),
        "charts": Charts(
            times,
            [
                Chart(
                    "calls", "Calls and errors", "", {"calls": column("calls", 0), "errors": errors}
                ),
                Chart("rate", "Error rate, % of calls", " %", rates),
                Chart("latency", "Latency, ms", " ms", latency),
            ],
        ),
    }


def _errors_of(step: CallStep) -> int:
    return step.limited + step.refused + step.failed
