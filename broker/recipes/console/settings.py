"""A recipe's settings in the console: shown, stored and removed, and what `setup` and `check` say
of a user. A recipe's own page is this with its form.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import urlencode

from aiohttp import web
from pydantic import BaseModel

from broker.crm.records import HubSpotUser
from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.errors import InvalidRequest, RecipeNotFound
from broker.providers.catalog import DEFAULT
from broker.recipes.base import AnyRecipe
from broker.recipes.building import Recipes
from broker.recipes.console.gaps import SetupGaps
from broker.recipes.console.health_form import health_shown, health_typed
from broker.recipes.preparing import ForUser
from broker.recipes.settings import StoredSettings
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value
from broker.web.core.requests import validate

USERS = 50
"""How many connected users a page offers, and how many of their accounts it shows."""

Stored = StoredSettings[Any] | None

R = TypeVar("R", bound=AnyRecipe)


class SettingsPages(Generic[R]):
    """`/console/{recipe}/settings`. What a form has no field for stays as it is stored."""

    recipe: ClassVar[str]
    """The name of the recipe, whose folder `console/{recipe}/` has `settings.html`."""
    model: ClassVar[type[BaseModel]]

    def __init__(self, console: ConsoleBase, recipe: R, recipes: Recipes) -> None:
        self.console = console
        self._recipe = recipe
        self._recipes = recipes
        self._gaps = SetupGaps(console, recipes)

    @abstractmethod
    def typed(self, form: dict[str, list[str]]) -> dict[str, Any]:
        """A form as the API's body, without what the form has no field for."""

    @abstractmethod
    def shown(self, stored: Stored) -> dict[str, Any]:
        """What stands in the form: the stored settings, or those that a new app begins with."""

    def saved_notice(self, _stored: Stored) -> Sequence[str]:
        """What the page says once settings have been stored, after "Saved."."""
        return ("They hold from now on.",)

    @abstractmethod
    async def values(
        self, operator: Operator, app: App, stored: Stored, user: HubSpotUser | None
    ) -> dict[str, Any]:
        """What else the page's template takes, over what all pages have. `user`: the one whose
        account it offers.
        """

    @for_operators("recipes")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """The settings of an app, or an empty form."""
        apps, slug = await self.console.choose(request, operator, DEFAULT)
        if not slug:
            return self._render(operator, apps=apps, slug="")
        app = await self.console.app(operator, slug)
        saved = "saved" in request.query
        return await self._page(operator, app, request.query.get("user", ""), saved=saved)

    @for_operators("recipes")
    async def put(self, request: web.Request, operator: Operator) -> web.Response:
        """Store the settings; a secret that is left empty stays as it is."""
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        user = form_value(form, "user")
        typed = self.typed(form) | health_typed(form)
        typed |= await self._recipe.setup.left_out(app, typed)
        try:
            body = validate(self.model, typed)
            await self._recipe.setup.put(app, str(operator.caller.key_id), body)
        except InvalidRequest as refusal:
            wrong = {each["field"]: each["message"] for each in refusal.context.get("errors", [])}
            return await self._page(operator, app, user, typed, wrong, 400)
        return self._back(request, app, user, saved=True)

    @for_operators("recipes")
    async def remove(self, request: web.Request, operator: Operator) -> web.Response:
        """Delete the settings; runs stay, and wait."""
        app = await self.console.app(operator, form_value(await form_of(request), "app"))
        await self._recipe.setup.delete(app, str(operator.caller.key_id))
        return self._back(request, app, "")

    @for_operators("recipes")
    async def setup(self, request: web.Request, operator: Operator) -> web.Response:
        """Create the properties that a user's HubSpot account lacks."""
        app, user_ref = await self._user(request, operator)
        done = await self._recipes.checks.create_properties(
            self._recipe, app, operator.caller, user_ref
        )
        return self.console.render(
            operator, "recipe/prepared.part.html", made=done.created, existing=done.existing
        )

    @for_operators("recipes")
    async def check(self, request: web.Request, operator: Operator) -> web.Response:
        """List everything that would make a run of a user fail."""
        app, user_ref = await self._user(request, operator)
        findings = await self._recipes.checks.findings(self._recipe, app, operator.caller, user_ref)
        return self.console.render(operator, "recipe/checked.part.html", findings=findings)

    async def _user(self, request: web.Request, operator: Operator) -> tuple[App, str]:
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        body = validate(ForUser, {"userForeignIdentifier": form.get("user", [""])[0]})
        return app, body.userForeignIdentifier

    async def _page(
        self,
        operator: Operator,
        app: App,
        user_ref: str,
        typed: dict[str, Any] | None = None,
        wrong: dict[str, str] | None = None,
        status: int = 200,
        *,
        saved: bool = False,
    ) -> web.Response:
        try:
            stored = await self._recipe.setup.get(app)
        except RecipeNotFound:
            stored = None
        apps = [each for each in await self.console.apps(operator) if each.provider == DEFAULT]
        users = await self._recipes.accounts.users(app, USERS)
        named = [each for each in users if each.user_ref == user_ref]
        chosen = next(iter([*named, *users]), None)
        shown = await self._gaps.shown(self.recipe, operator, app, stored)
        shown |= await self.values(operator, app, stored, chosen)
        return self._render(
            operator,
            status,
            apps=apps,
            slug=app.slug,
            stored=stored,
            users=users,
            chosen="" if chosen is None else chosen.user_ref,
            typed=typed or self.shown(stored),
            health=health_shown(None if stored is None else stored.model.health, typed),
            wrong=wrong or {},
            saved=self.saved_notice(stored) if saved and stored is not None else (),
            **shown,
        )

    def _render(self, operator: Operator, status: int = 200, **values: Any) -> web.Response:
        page = f"{self.recipe}/settings.html"
        panel = {"recipe": self.recipe}
        return self.console.render(
            operator, page, self.recipe, status, panel=panel, here="settings", **values
        )

    def _back(
        self, request: web.Request, app: App, user: str, *, saved: bool = False
    ) -> web.Response:
        query = {"app": app.slug, **({"user": user} if user else {})}
        query |= {"saved": "yes"} if saved else {}
        return self.console.redirect(request, f"/{self.recipe}/settings?{urlencode(query)}")
