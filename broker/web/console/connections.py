"""Connections in the console: search, status, links, renewal, end."""

from urllib.parse import urlencode

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import App, ConnectionRecord, Status
from broker.errors import ConnectionNotFound
from broker.services.grants.connection_admin import ConnectionAdmin
from broker.services.installs.oauth_flow import Installs
from broker.stores.connections.connections import Connections
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value
from broker.web.core.requests import RequestModel, UserRef, validate
from broker.web.core.wording import describe_reason, label_of, wording_of

PAGE = 50


class UserField(RequestModel):
    """A user as an operator types it."""

    user: UserRef


class ConnectionViews:
    """`/console/connections` and `/console/connection`."""

    def __init__(
        self,
        console: ConsoleBase,
        connections: Connections,
        installs: Installs,
        upkeep: ConnectionAdmin,
    ) -> None:
        self.console = console
        self._connections = connections
        self._installs = installs
        self._admin = upkeep

    @for_operators("connect")
    async def index(self, request: web.Request, operator: Operator) -> web.Response:
        """Search the connections of an app; htmx gets the rows alone."""
        apps, slug = await self.console.choose(request, operator)
        query = request.query
        text, status = query.get("q", "")[:255], query.get("status", "")
        before = query.get("before", "")
        page = None
        if slug:
            page = await self._connections.search(
                await self.console.app(operator, slug),
                text,
                status=Status(status) if status in Status.__members__ else None,
                before=int(before) if before.isdecimal() and len(before) < 18 else None,
                limit=PAGE,
            )
        more = None
        if page is not None and page.after is not None:
            more = urlencode({"app": slug, "q": text, "status": status, "before": page.after})
        part = "HX-Request" in request.headers
        return self.console.render(
            operator,
            "connections.part.html" if part else "connections.html",
            "connections",
            apps=apps,
            slug=slug,
            text=text,
            chosen=status,
            statuses=list(Status),
            records=page.records if page else [],
            more=more,
            live=not before,
            provider=next((app.provider for app in apps if app.slug == slug), None),
            describe_reason=describe_reason,
        )

    @for_operators("connect")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """One connection; htmx gets its state alone, again and again."""
        app = await self.console.app(operator, request.query.get("app", ""))
        user = request.query.get("user", "")
        record = await self._find(app, user)
        part = "HX-Request" in request.headers
        return self.console.render(
            operator,
            "connection.part.html" if part else "connection.html",
            "connections",
            app=app,
            user=user,
            record=record,
            label=label_of(app.provider),
            wording=wording_of(app.provider),
            describe_reason=describe_reason,
        )

    @for_operators("connect")
    async def link(self, request: web.Request, operator: Operator) -> web.Response:
        """A fresh install link for a user, known or new."""
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        user = validate(UserField, {"user": form.get("user", [""])[0]}).user
        names = wording_of(app.provider).questions
        options = {name: form_value(form, name) for name in names if form_value(form, name)}
        is_known = await self._find(app, user) is not None
        if is_known and not options:
            url = await self._installs.begin_again(app, user)
        else:
            url = await self._installs.begin(app, user, options=options)
        return self.console.render(
            operator, "link.part.html", app=app, user=user, url=url, connected=is_known
        )

    @for_operators("connect")
    async def renew(self, request: web.Request, operator: Operator) -> web.Response:
        """Renew a grant now."""
        app, user = await self._named(request, operator)
        await self._admin.renew(app, user)
        return self.console.redirect(request, _address(app, user))

    @for_operators("connect")
    async def delete(self, request: web.Request, operator: Operator) -> web.Response:
        """Wipe a connection and tell its provider."""
        app, user = await self._named(request, operator)
        outcome = await self._admin.delete(app, user, str(operator.caller.key_id))
        return self.console.render(
            operator,
            "deleted.html",
            "connections",
            app=app,
            user=user,
            outcome=outcome,
            label=label_of(app.provider),
        )

    async def _named(self, request: web.Request, operator: Operator) -> tuple[App, str]:
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        return app, form.get("user", [""])[0]

    async def _find(self, app: App, user: str) -> ConnectionRecord | None:
        try:
            validate(UserField, {"user": user})
        except Exception:  # noqa: BLE001  # whatever is no user has no connection
            raise ConnectionNotFound from None
        return await self._connections.find_record(app, user)


def _address(app: App, user: str) -> str:
    return f"/connection?{urlencode({'app': app.slug, 'user': user})}"
