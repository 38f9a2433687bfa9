"""What is missing before a recipe can work for an app, each with the page where it is done."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.recipes.addresses import ConsolePanel
from broker.recipes.base import AnySpec
from broker.recipes.building import Recipes
from broker.recipes.settings import StoredSettings
from broker.web.console.base import ConsoleBase
from broker.web.core.wording import label_of


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that is missing. `path` is where in the console it is done, None where the
    operator's key may not.
    """

    words: str
    action: str
    path: str | None


class SetupGaps:
    """What an app lacks, in the order in which it is done."""

    def __init__(self, console: ConsoleBase, recipes: Recipes) -> None:
        self._console = console
        self._recipes = recipes

    async def shown(
        self, recipe: str, operator: Operator, app: App, stored: StoredSettings[Any] | None
    ) -> dict[str, Any]:
        """What a recipe's pages say of an app before anything else: `gaps`, and by the `rule` of
        its settings when it starts by itself; `stored` are these.
        """
        spec = next(each for each in self._recipes.specs if each.name == recipe)
        panel = spec.panel
        assert panel is not None  # noqa: S101  # these are the panel's own pages
        return {
            "gaps": await self._find(spec, panel, operator, app, stored),
            "is_set_up": stored is not None,
            "rule": None if stored is None else panel.starts(stored.model),
        }

    async def _find(
        self,
        spec: AnySpec,
        panel: ConsolePanel,
        operator: Operator,
        app: App,
        stored: StoredSettings[Any] | None,
    ) -> list[Gap]:
        settings = f"/{spec.name}/settings?{urlencode({'app': app.slug})}"
        apps = await self._console.apps(operator)
        partners = {each.slug: each for each in apps if each.provider in panel.partners}
        found = []
        if panel.partners and not partners:
            words = (
                f"There is no app of {_labels(panel)} with which users connect, or your key does "
                "not reach it."
            )
            path = f"/register?{urlencode({'provider': panel.partners[0]})}"
            found.append(_gap(operator, words, "Register one", path, "apps"))
        if stored is None:
            words = f"{panel.label} has no settings for {app.slug} yet."
            found.append(_gap(operator, words, "Set it up", settings, "recipes"))
        if not await self._recipes.accounts.users(app, 1):
            words = f"No user of {app.slug} has an active connection to HubSpot."
            found.append(_gap(operator, words, "Connect a user", f"/apps/{app.slug}", "connect"))
        if stored is not None and partners:
            slug = spec.polled_app(stored.model) or ""
            partner = partners.get(slug.lower())
            if partner is None:
                words = (
                    f"The settings name the app {slug}, which is gone, or which your key does not "
                    "reach."
                )
                found.append(_gap(operator, words, "Choose another", settings, "recipes"))
            elif not await self._recipes.accounts.users(partner, 1):
                words = (
                    f"No user has connected {label_of(partner.provider)} yet, with the app {slug}."
                )
                path = f"/apps/{partner.slug}"
                found.append(_gap(operator, words, "Connect a user there", path, "connect"))
        return found


def _labels(panel: ConsolePanel) -> str:
    return " or ".join(label_of(each) for each in panel.partners)


def _gap(operator: Operator, words: str, action: str, path: str, scope: str) -> Gap:
    return Gap(words, action, path if operator.has_any_scope(scope) else None)
