"""Events and deliveries in the console: search, what became of each, sending again."""

import json
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.events import Endpoint, message_id
from broker.domain.model import App
from broker.errors import DeliveryNotFound, EndpointNotFound, NotFound, wrong_field
from broker.receivers.addresses import check_url
from broker.receivers.signing import new_secret
from broker.services.events.deliverer import Deliverer
from broker.stores.events.deliveries import Deliveries
from broker.stores.events.endpoints import Endpoints
from broker.stores.events.events import Events
from broker.stores.events.replays import Replays
from broker.web.api.deliveries import Span
from broker.web.api.endpoints import NewEndpoint
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value, page_id
from broker.web.core.requests import validate

PAGE = 50
STATES = ("waiting", "delivered", "dead")


class EventViews:
    """`/console/events`, `/console/endpoints` and `/console/endpoint`."""

    def __init__(
        self,
        console: ConsoleBase,
        events: Events,
        endpoints: Endpoints,
        deliveries: Deliveries,
        replays: Replays,
        deliverer: Deliverer,
        *,
        allow_private: bool,
    ) -> None:
        self.console = console
        self._events = events
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._replays = replays
        self._deliverer = deliverer
        self._allow_private = allow_private

    @for_operators("webhooks")
    async def index(self, request: web.Request, operator: Operator) -> web.Response:
        """Search an app's events; htmx gets the rows alone."""
        apps, slug = await self.console.choose(request, operator)
        text, records, more = request.query.get("q", "")[:255], [], None
        if slug:
            app = await self.console.app(operator, slug)
            records = await self._events.search(app, text, before=page_id(request), limit=PAGE)
        if len(records) == PAGE:
            more = urlencode({"app": slug, "q": text, "before": str(records[-1].id)})
        part = "HX-Request" in request.headers
        return self.console.render(
            operator,
            "events.part.html" if part else "events.html",
            "events",
            apps=apps,
            slug=slug,
            text=text,
            records=records,
            more=more,
            live="before" not in request.query,
        )

    @for_operators("webhooks")
    async def event(self, request: web.Request, operator: Operator) -> web.Response:
        """An event, and what became of it at each endpoint; htmx gets that alone."""
        app = await self.console.app(operator, request.query.get("app", ""))
        record, sent = await self._events.get(app, _id(request.query.get("id", ""), NotFound))
        part = "HX-Request" in request.headers
        return self.console.render(
            operator,
            "sent.part.html" if part else "event.html",
            "events",
            app=app,
            record=record,
            sent=sent,
            name=message_id(record.id),
            payload=json.dumps(json.loads(record.payload), indent=2, ensure_ascii=False),
        )

    @for_operators("webhooks")
    async def endpoints(self, request: web.Request, operator: Operator) -> web.Response:
        """Where an app's events are sent."""
        apps, slug = await self.console.choose(request, operator)
        found = await self._endpoints.of_app(await self.console.app(operator, slug)) if slug else []
        return self.console.render(
            operator, "endpoints.html", "events", apps=apps, slug=slug, endpoints=found
        )

    @for_operators("webhooks")
    async def register(self, request: web.Request, operator: Operator) -> web.Response:
        """A new endpoint; its signing secret is shown once."""
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        events = form_value(form, "events").split() or ["*"]
        body = validate(NewEndpoint, {"url": form_value(form, "url"), "events": events})
        check_url(body.url, allow_private=self._allow_private)
        secret, events = new_secret(), list(dict.fromkeys(body.events))
        endpoint = await self._endpoints.register(
            app, str(operator.caller.key_id), body.url, events, secret
        )
        return self._secret(operator, app, endpoint, secret.reveal())

    @for_operators("webhooks")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """An endpoint with its deliveries; htmx gets those alone, again and again."""
        app = await self.console.app(operator, request.query.get("app", ""))
        endpoint = await self._endpoint(app, request.query.get("id", ""))
        state = request.query.get("state", "")
        records, earlier = await self._deliveries.page(
            endpoint,
            state=state if state in STATES else None,
            before=page_id(request),
            limit=PAGE,
        )
        query = {"app": app.slug, "id": str(endpoint.id), "state": state}
        part = "HX-Request" in request.headers
        return self.console.render(
            operator,
            "deliveries.part.html" if part else "endpoint.html",
            "events",
            app=app,
            endpoint=endpoint,
            records=records,
            state=state,
            states=STATES,
            address=urlencode(query),
            more=urlencode({**query, "before": earlier}) if earlier else None,
        )

    @for_operators("webhooks")
    async def test(self, request: web.Request, operator: Operator) -> web.Response:
        """Send a test event now."""
        app, endpoint = await self._named(operator, await form_of(request))
        record = await self._deliverer.test(app, endpoint)
        return self.console.render(operator, "tested.part.html", record=record)

    @for_operators("webhooks")
    async def rotate(self, request: web.Request, operator: Operator) -> web.Response:
        """A new signing secret; the old one signs too for a day."""
        app, endpoint = await self._named(operator, await form_of(request))
        secret = new_secret()
        await self._endpoints.rotate(app, endpoint.id, str(operator.caller.key_id), secret)
        return self._secret(operator, app, endpoint, secret.reveal())

    @for_operators("webhooks")
    async def enable(self, request: web.Request, operator: Operator) -> web.Response:
        """Bring an endpoint back, or send nothing there for now."""
        form = await form_of(request)
        app, endpoint = await self._named(operator, form)
        await self._endpoints.change(
            app,
            endpoint.id,
            str(operator.caller.key_id),
            url=None,
            events=None,
            enabled=form_value(form, "enabled") == "yes",
        )
        return self._to(request, app, endpoint)

    @for_operators("webhooks")
    async def remove(self, request: web.Request, operator: Operator) -> web.Response:
        """Remove an endpoint with its undelivered events."""
        app, endpoint = await self._named(operator, await form_of(request))
        await self._endpoints.remove(app, endpoint.id, str(operator.caller.key_id))
        return self.console.redirect(request, f"/endpoints?app={app.slug}")

    @for_operators("webhooks")
    async def replay(self, request: web.Request, operator: Operator) -> web.Response:
        """Deliver one event again."""
        form = await form_of(request)
        app, endpoint = await self._named(operator, form)
        delivery_id = _id(form_value(form, "delivery"), DeliveryNotFound)
        await self._deliveries.replay(app, delivery_id, str(operator.caller.key_id))
        event = form_value(form, "event")
        if event:
            where = urlencode({"app": app.slug, "id": str(_id(event, NotFound))})
            return self.console.redirect(request, f"/event?{where}")
        return self._to(request, app, endpoint)

    @for_operators("webhooks")
    async def replay_span(self, request: web.Request, operator: Operator) -> web.Response:
        """Deliver the events of a span of time again (UTC)."""
        form = await form_of(request)
        app, endpoint = await self._named(operator, form)
        span = validate(Span, {"from": form_value(form, "from"), "to": form_value(form, "to")})
        if span.end <= span.begin:
            raise wrong_field("to", "must be later than from")
        actor = str(operator.caller.key_id)
        begun = await self._replays.begin(app, endpoint, span.begin, span.end, None, actor)
        return self.console.render(operator, "replayed.part.html", begun=begun)

    async def _endpoint(self, app: App, text: str) -> Endpoint:
        return await self._endpoints.get(app, _id(text, EndpointNotFound))

    async def _named(self, operator: Operator, form: dict[str, list[str]]) -> tuple[App, Endpoint]:
        app = await self.console.app(operator, form_value(form, "app"))
        return app, await self._endpoint(app, form_value(form, "id"))

    def _to(self, request: web.Request, app: App, endpoint: Endpoint) -> web.Response:
        where = urlencode({"app": app.slug, "id": str(endpoint.id)})
        return self.console.redirect(request, f"/endpoint?{where}")

    def _secret(
        self, operator: Operator, app: App, endpoint: Endpoint, secret: str
    ) -> web.Response:
        return self.console.render(
            operator, "signing-secret.html", "events", app=app, endpoint=endpoint, secret=secret
        )


def _id(text: str, missing: type[NotFound]) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise missing from None
