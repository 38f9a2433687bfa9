"""Keys in the console: make and revoke what the operator's own key covers."""

from uuid import UUID

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import KEY_SCOPES, Key
from broker.errors import NotAllowed, NotFound
from broker.stores.access.keys import Keys
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value


class KeyViews:
    """`/console/keys`. Nobody can give, or take, more than their own key may."""

    def __init__(self, desk: ConsoleBase, keys: Keys) -> None:
        self.desk = desk
        self._keys = keys

    @for_operators("apps")
    async def index(self, _request: web.Request, operator: Operator) -> web.Response:
        """Every key within the operator's reach."""
        return await self._shown(operator)

    @for_operators("apps")
    async def create(self, request: web.Request, operator: Operator) -> web.Response:
        """A new key, with the policy of the operator's; its secret is shown once."""
        form = await form_of(request)
        scopes = tuple(scope for scope in KEY_SCOPES if scope in form.get("scopes", []))
        slugs = tuple(form.get("apps", []))
        name = form_value(form, "name")[:100]
        if not name or not scopes:
            return await self._shown(operator, "Give the key a name and at least one scope.", 400)
        reachable = {app.slug for app in await self.desk.apps(operator)}
        limited = operator.caller.app_slugs is not None
        if not operator.caller.scopes.issuperset(scopes) or not reachable.issuperset(slugs):
            raise NotAllowed("A key cannot give more than it has.")
        if limited and not slugs:
            slugs = tuple(sorted(operator.caller.app_slugs or ()))
        issued = await self._keys.create(
            operator.caller.workspace_id, name, scopes, slugs or None, operator.caller.policy
        )
        secret = issued.client_secret.reveal()
        return self.desk.render(operator, "key.html", "keys", issued=issued, secret=secret)

    @for_operators("apps")
    async def revoke(self, request: web.Request, operator: Operator) -> web.Response:
        """End a key everywhere, within seconds."""
        try:
            key_id = UUID(form_value(await form_of(request), "id"))
        except ValueError:
            raise NotFound from None
        key = next((each for each in await self._within(operator) if each.id == key_id), None)
        if key is None:
            raise NotFound("There is no such key.")
        await self._keys.revoke(key.id)
        return self.desk.redirect(request, "/keys")

    async def _within(self, operator: Operator) -> list[Key]:
        return [
            key
            for key in await self._keys.of_workspace(operator.caller.workspace_id)
            if covers(operator, key)
        ]

    async def _shown(
        self, operator: Operator, problem: str | None = None, status: int = 200
    ) -> web.Response:
        return self.desk.render(
            operator,
            "keys.html",
            "keys",
            status,
            keys=await self._within(operator),
            scopes=[(s, said) for s, said in KEY_SCOPES.items() if operator.has_any_scope(s)],
            apps=await self.desk.apps(operator),
            problem=problem,
        )


def covers(operator: Operator, key: Key) -> bool:
    """Whether the operator's key may all that another may."""
    own = operator.caller.app_slugs
    if not operator.caller.scopes.issuperset(key.scopes):
        return False
    if operator.caller.policy not in (None, key.policy):
        return False
    return own is None or (key.app_slugs is not None and own.issuperset(key.app_slugs))
