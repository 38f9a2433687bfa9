"""An app's settings of the orders recipe in the console, with what a user's account offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from broker.crm.records import HubSpotUser
from broker.crm.related import Stage
from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.recipes.console.settings import USERS, SettingsPages, Stored
from broker.recipes.orders.account import Account, own_names
from broker.recipes.orders.models import NAME, ContactMapping, DealMapping, OrdersSettings, Stages
from broker.recipes.orders.recipe import OrdersRecipe
from broker.recipes.orders.steps import SHOPS
from broker.web.console.base import form_value

LABELS = {
    "deal": {
        "name": "Deal name (written once)",
        "amount": "Amount",
        "currency": "Currency",
        "closeDate": "When the order was placed",
        "orderName": "The order's name at the shop",
        "financialStatus": "The order's payment status",
    },
    "contact": {
        "firstName": "First name",
        "lastName": "Last name",
        "phone": "Phone number",
        "company": "Company",
    },
}


@dataclass(frozen=True, slots=True)
class Named:
    """A pipeline: its id, and how people call it."""

    id: str
    label: str


class OrdersSettingsViews(SettingsPages[OrdersRecipe]):
    """`/console/orders/settings`."""

    recipe = NAME
    model = OrdersSettings

    def typed(self, form: dict[str, list[str]]) -> dict[str, Any]:
        """A form as the API's body: a property that is empty is null, and written nowhere."""

        def mapping(side: str, model: type[ContactMapping | DealMapping]) -> dict[str, str | None]:
            return {name: form_value(form, f"{side}.{name}") or None for name in model.model_fields}

        return {
            "shopApp": form_value(form, "shopApp"),
            "pipeline": form_value(form, "pipeline"),
            "stages": {name: form_value(form, f"stages.{name}") for name in Stages.model_fields},
            "amount": form_value(form, "amount"),
            "skipTest": "skipTest" in form,
            "reopen": "reopen" in form,
            "deal": mapping("deal", DealMapping),
            "contact": mapping("contact", ContactMapping),
        }

    def shown(self, stored: Stored) -> dict[str, Any]:
        if stored is None:
            return {**OrdersSettings(shopApp="none").model_dump(), "shopApp": ""}
        return dict(stored.model.model_dump())

    async def values(
        self, operator: Operator, app: App, _stored: Stored, user: HubSpotUser | None
    ) -> dict[str, Any]:
        account = Account((), {}, {}) if user is None else await self._recipe.account(user)
        apps = await self.console.apps(operator)
        return {
            "shop_apps": [each.slug for each in apps if each.provider in SHOPS],
            "trouble": account.trouble,
            "pipelines": _pipelines(account.stages),
            "pipeline_ids": {each.pipeline_id for each in account.stages},
            "stage_ids": {each.id for each in account.stages},
            "offered": {"deal": account.offered("deal"), "contact": account.offered("contact")},
            "own": own_names(),
            "labels": LABELS,
            "polls": await self._recipes.polls.of_app(app.workspace_id, app.id, NAME, USERS),
        }


def _pipelines(stages: Sequence[Stage]) -> list[tuple[Named, list[Stage]]]:
    """Each pipeline with its stages, in the account's order."""
    return [
        (Named(*key), list(found))
        for key, found in groupby(stages, lambda each: (each.pipeline_id, each.pipeline_label))
    ]
