"""Keys in the console: create, change and revoke what the operator's own key covers."""

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import KEY_SCOPES, Key, PolicyRule
from broker.errors import InvalidRequest, NotAllowed, NotFound
from broker.stores.access.keys import Keys
from broker.web.api.app_fields import Rule, rule_of_text, text_of_rule
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value
from broker.web.core.requests import validate

Form = dict[str, list[str]]


class KeyViews:
    """`/console/keys` and `/console/key`. No key can grant, or take, more than it has itself."""

    def __init__(self, console: ConsoleBase, keys: Keys) -> None:
        self.console = console
        self._keys = keys

    @for_operators("apps")
    async def index(self, _request: web.Request, operator: Operator) -> web.Response:
        """Every key that the operator's own key covers."""
        return await self._list(operator)

    @for_operators("apps")
    async def create(self, request: web.Request, operator: Operator) -> web.Response:
        """A new key, with the policy of the operator's; its secret is shown once."""
        form = await form_of(request)
        name, scopes = _name_and_scopes(form)
        if not name or not scopes:
            return await self._list(operator, "Enter a name and choose at least one scope.", 400)
        slugs = await self._slugs(operator, form, scopes, ())
        issued = await self._keys.create(
            operator.caller.workspace_id,
            name,
            scopes,
            slugs,
            operator.caller.policy,
            actor=str(operator.caller.key_id),
        )
        secret = issued.client_secret.reveal()
        return self.console.render(operator, "key.html", "keys", issued=issued, secret=secret)

    @for_operators("apps")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """A key's name and limits, to be changed."""
        return await self._form(operator, await self._key(operator, request.query.get("id", "")))

    @for_operators("apps")
    async def change(self, request: web.Request, operator: Operator) -> web.Response:
        """Change a key's name, scopes, apps and allowed calls; its secret stays."""
        form = await form_of(request)
        key = await self._key(operator, form_value(form, "id"))
        name, scopes = _name_and_scopes(form)
        if not name or not scopes:
            problem = "Enter a name and choose at least one scope."
            return await self._form(operator, key, problem, 400)
        slugs = await self._slugs(operator, form, scopes, key.app_slugs or ())
        try:
            policy = _policy(form_value(form, "policy")) or operator.caller.policy
        except InvalidRequest as refusal:
            return await self._form(operator, key, f"Allowed calls: {refusal.detail}", 400)
        if operator.caller.policy not in (None, policy):
            raise NotAllowed("Your own key is limited to fewer calls.")
        try:
            async with self._keys.lock(key.id) as locked:
                if not covers(operator, locked.key):
                    raise NotFound("There is no such key.")
                await locked.change(
                    str(operator.caller.key_id),
                    name=name,
                    scopes=scopes,
                    app_slugs=slugs,
                    policy=policy,
                )
        except NotAllowed as refusal:
            return await self._form(operator, key, refusal.detail, 403)
        return self.console.redirect(request, "/keys")

    @for_operators("apps")
    async def revoke(self, request: web.Request, operator: Operator) -> web.Response:
        """End a key everywhere, within seconds, once the operator has read what it may and when it
        was used last.
        """
        form = await form_of(request)
        key = await self._key(operator, form_value(form, "id"))
        if form_value(form, "sure") != "yes":
            return self.console.render(operator, "key-revoke.html", "keys", key=key)
        try:
            await self._keys.revoke(key.id, actor=str(operator.caller.key_id))
        except NotAllowed as refusal:
            return await self._list(operator, refusal.detail, 403)
        return self.console.redirect(request, "/keys")

    async def _key(self, operator: Operator, text: str) -> Key:
        """A live key that the operator's covers. Raises NotFound."""
        for key in await self._covered(operator):
            if str(key.id) == text and key.revoked_at is None:
                return key
        raise NotFound("There is no such key.")

    async def _covered(self, operator: Operator) -> list[Key]:
        return [
            key
            for key in await self._keys.of_workspace(operator.caller.workspace_id)
            if covers(operator, key)
        ]

    async def _slugs(
        self, operator: Operator, form: Form, scopes: tuple[str, ...], known: tuple[str, ...]
    ) -> tuple[str, ...] | None:
        """The apps that a form limits a key to. Raises NotAllowed for more than the operator's.

        `known` are apps that the key is limited to already, registered or not.
        """
        slugs = tuple(form.get("apps", []))
        reachable = {app.slug for app in await self.console.apps(operator)} | set(known)
        if not operator.caller.scopes.issuperset(scopes) or not reachable.issuperset(slugs):
            raise NotAllowed("A key cannot grant more than it has.")
        if not slugs and operator.caller.app_slugs is not None:
            return tuple(sorted(operator.caller.app_slugs))
        return slugs or None

    async def _list(
        self, operator: Operator, problem: str | None = None, status: int = 200
    ) -> web.Response:
        return self.console.render(
            operator,
            "keys.html",
            "keys",
            status,
            keys=await self._covered(operator),
            scopes=_grantable(operator, ()),
            apps=[(app.slug, False) for app in await self.console.apps(operator)],
            problem=problem,
        )

    async def _form(
        self, operator: Operator, key: Key, problem: str | None = None, status: int = 200
    ) -> web.Response:
        limited = key.app_slugs or ()
        slugs = sorted({app.slug for app in await self.console.apps(operator)} | set(limited))
        return self.console.render(
            operator,
            "key-change.html",
            "keys",
            status,
            key=key,
            scopes=_grantable(operator, key.scopes),
            apps=[(slug, slug in limited) for slug in slugs],
            policy=[
                text_of_rule({"methods": rule.methods, "path": rule.path})
                for rule in key.policy or ()
            ],
            problem=problem,
        )


def covers(operator: Operator, key: Key) -> bool:
    """Whether the operator's key has every permission of another."""
    own = operator.caller.app_slugs
    if not operator.caller.scopes.issuperset(key.scopes):
        return False
    if operator.caller.policy not in (None, key.policy):
        return False
    return own is None or (key.app_slugs is not None and own.issuperset(key.app_slugs))


def _name_and_scopes(form: Form) -> tuple[str, tuple[str, ...]]:
    scopes = tuple(scope for scope in KEY_SCOPES if scope in form.get("scopes", []))
    return form_value(form, "name")[:100], scopes


def _grantable(operator: Operator, chosen: tuple[str, ...]) -> list[tuple[str, str, bool]]:
    return [
        (scope, meaning, scope in chosen)
        for scope, meaning in KEY_SCOPES.items()
        if operator.has_any_scope(scope)
    ]


def _policy(text: str) -> tuple[PolicyRule, ...] | None:
    rules = [validate(Rule, rule_of_text(line)) for line in text.splitlines() if line.strip()]
    return tuple(PolicyRule(tuple(rule.methods), rule.path) for rule in rules) or None
