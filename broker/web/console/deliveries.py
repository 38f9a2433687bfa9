"""Deliveries of all endpoints of an app in the console: which failed, and all of those again."""

from urllib.parse import urlencode

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.events import AppDelivery
from broker.domain.uuid7 import LAST_ID
from broker.stores.events.deliveries import MAX_REPLAYED, Deliveries
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value, page_id

PAGE = 50
STATES = ("waiting", "delivered", "dead")


class DeliveryViews:
    """`/console/deliveries`."""

    def __init__(self, console: ConsoleBase, deliveries: Deliveries) -> None:
        self.console = console
        self._deliveries = deliveries

    @for_operators("webhooks")
    async def index(self, request: web.Request, operator: Operator) -> web.Response:
        """Deliveries by state, newest first; htmx gets the rows alone."""
        apps, slug = await self.console.choose(request, operator)
        query = request.query
        state, before, endpoint = query.get("state", ""), page_id(request), page_id(request, "at")
        text = query.get("q", "")[:255].replace("\x00", "")
        found: list[AppDelivery] = []
        more = None
        if slug:
            found, last = await self._deliveries.of_app(
                await self.console.app(operator, slug),
                state=state if state in STATES else None,
                text=text,
                before=None if before is None else (before, endpoint or LAST_ID),
                limit=PAGE,
            )
            if last is not None:
                page = {"before": str(last[0]), "at": str(last[1])}
                more = urlencode({"app": slug, "state": state, "q": text, **page})
        part = "HX-Request" in request.headers
        return self.console.render(
            operator,
            "app-deliveries.part.html" if part else "app-deliveries.html",
            "events",
            apps=apps,
            slug=slug,
            state=state,
            states=STATES,
            text=text,
            found=found,
            more=more,
            live=before is None,
        )

    @for_operators("webhooks")
    async def replay_dead(self, request: web.Request, operator: Operator) -> web.Response:
        """Deliver again what was given up, at a steady pace."""
        app = await self.console.app(operator, form_value(await form_of(request), "app"))
        number = await self._deliveries.replay_dead(app, str(operator.caller.key_id))
        return self.console.render(
            operator, "replayed-dead.html", "events", app=app, number=number, most=MAX_REPLAYED
        )
