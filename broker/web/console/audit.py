"""The audit log in the console: who did what, from where."""

from urllib.parse import urlencode

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.errors import InvalidRequest
from broker.stores.access.audit import Audit
from broker.web.api.audit import AuditQuery
from broker.web.console.base import ConsoleBase, for_operators
from broker.web.core.requests import validate

PAGE = 50


class AuditViews:
    """`/console/audit`."""

    def __init__(self, console: ConsoleBase, audit: Audit) -> None:
        self.console = console
        self._audit = audit

    @for_operators("audit")
    async def index(self, request: web.Request, operator: Operator) -> web.Response:
        """Entries, newest first, and whether their chain holds."""
        typed = {
            name: request.query[name].strip()
            for name in ("since", "actor", "action", "before")
            if request.query.get(name, "").strip()
        }
        problem, found = None, []
        try:
            query = validate(AuditQuery, typed)
        except InvalidRequest as refusal:
            problem = refusal.detail
        else:
            found = await self._audit.page(
                operator.caller.workspace_id,
                app_slugs=operator.caller.app_slugs,
                since=query.since,
                actor=query.actor,
                action=query.action,
                before=query.before,
                limit=PAGE + 1,
            )
        more = None
        if len(found) > PAGE:
            more = urlencode({**typed, "before": found[PAGE - 1].sequence})
        return self.console.render(
            operator,
            "audit.html",
            "audit",
            status=400 if problem else 200,
            typed=typed,
            entries=found[:PAGE],
            more=more,
            problem=problem,
        )
