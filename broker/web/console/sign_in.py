"""Signing in to the console with a key, and out again."""

from datetime import timedelta

from aiohttp import web

from broker.domain.audit import SOURCE, UNKNOWN, Source
from broker.domain.browser_sessions import Operator
from broker.domain.model import Secret
from broker.errors import BrokerError
from broker.stores.access.keys import SECRET, Keys, workspace_of
from broker.web.console.base import (
    ConsoleBase,
    for_operators,
    form_of,
    form_value,
    refused,
)
from broker.web.core.cookies import check_same_origin
from broker.web.core.origins import address_of

LIFETIME = timedelta(hours=12)

NO_KEY = "no key has this secret"


class SignInViews:
    """`/console/sign-in` and `/console/sign-out`."""

    def __init__(self, console: ConsoleBase, keys: Keys) -> None:
        self.console = console
        self._keys = keys

    async def sign_in_form(self, request: web.Request) -> web.Response:
        """Ask for a key."""
        return self._form(request.query.get("next", ""))

    async def sign_in(self, request: web.Request) -> web.Response:
        """Take a key with the scope `console`; every sign-in gets a cookie of its own."""
        try:
            check_same_origin(request, self.console.pages.origin, needs_proof=True)
            form = await form_of(request)
        except BrokerError as refusal:
            return refused(self.console, request, None, refusal)
        back, secret = form_value(form, "next"), form_value(form, "key")
        # An access token made from a key may do less than the key; it signs nobody in.
        caller = None
        if secret.startswith(SECRET):
            caller = await self._keys.find_caller(Secret(secret), None)
        SOURCE.set(Source("console", address_of(request)))
        if caller is None:
            await self._record_refusal(secret)
            return self._form(back, "This is not a key of this broker, or it was revoked.", 401)
        if not caller.has_scope("console"):
            why = "the key lacks the scope console"
            await self.console.operators.record_refusal(
                caller.workspace_id, str(caller.key_id), why
            )
            return self._form(back, "This key may not sign in: it lacks the scope console.", 403)
        former = self.console.cookie.read(request)
        if former is not None:
            await self.console.operators.end(former)
        token = await self.console.operators.create(caller.workspace_id, caller.key_id, LIFETIME)
        response = self.console.redirect(request, _within_console(back))
        self.console.cookie.set(response, token, int(LIFETIME.total_seconds()))
        return response

    async def _record_refusal(self, secret: str) -> None:
        """A secret of no live key, in the audit log of the workspace that it names."""
        workspace_id = workspace_of(secret, (SECRET,))
        if workspace_id is None:
            return
        revoked = await self._keys.find_by_credential(Secret(secret))
        actor, why = (
            (UNKNOWN, NO_KEY) if revoked is None else (str(revoked.id), "the key was revoked")
        )
        await self.console.operators.record_refusal(workspace_id, actor, why)

    @for_operators()
    async def sign_out(self, request: web.Request, _operator: Operator) -> web.Response:
        """End this sign-in."""
        token = self.console.cookie.read(request)
        if token is not None:
            await self.console.operators.end(token)
        response = self.console.redirect(request, "/sign-in")
        self.console.cookie.clear(response)
        return response

    def _form(self, back: str, problem: str | None = None, status: int = 200) -> web.Response:
        return self.console.render(None, "sign-in.html", status=status, back=back, problem=problem)


def _within_console(path: str) -> str:
    """Where to after signing in: a page of the console, nothing else."""
    _, found, rest = path.partition("/console")
    inside = found and rest.startswith("/") and rest.isprintable() and "\\" not in rest
    return rest if inside and not rest.startswith("//") else ""
