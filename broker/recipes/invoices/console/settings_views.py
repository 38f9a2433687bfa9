"""An app's settings of the invoices recipe in the console, with what a user's accounts offer."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from broker.crm.object_types import COMPANIES, CONTACTS, DEALS
from broker.crm.records import HubSpotUser
from broker.crm.related import Stage
from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.recipes.console.settings import USERS, SettingsPages, Stored
from broker.recipes.invoices.console.starts import STAGES, starts
from broker.recipes.invoices.models import (
    CUSTOMER_ID,
    ERROR,
    INVOICE_ID,
    NAME,
    NUMBER,
    STATUS,
    CustomerMapping,
    InvoicesSettings,
    InvoiceWriteBack,
)
from broker.recipes.invoices.offers import Offers
from broker.recipes.invoices.recipe import STAGE, InvoicesRecipe
from broker.recipes.invoices.steps import BOOKS
from broker.web.console.base import form_value

LABELS = {
    "customer": {
        "email": "E-mail address",
        "firstName": "First name",
        "lastName": "Last name",
        "companyName": "Company's name",
        "phone": "Phone number",
        "street": "Street",
        "city": "City",
        "state": "State",
        "postalCode": "Postal code",
        "country": "Country",
        "customerId": "Customer id (written too)",
    },
    "writeBack": {
        "invoiceId": "Invoice id",
        "number": "Invoice number",
        "status": "Invoice status",
        "error": "Why there is no invoice",
    },
}
CHECKBOXES = ("approve", "sendEmail", "cards")
OWN = (INVOICE_ID, NUMBER, STATUS, ERROR, CUSTOMER_ID)
"""The properties that setup makes."""


class InvoicesSettingsViews(SettingsPages[InvoicesRecipe]):
    """`/console/invoices/settings`."""

    recipe = NAME
    model = InvoicesSettings

    def typed(self, form: dict[str, list[str]]) -> dict[str, Any]:
        """A form as the API's body: a property that is empty is null."""

        def mapping(side: str, model: type[CustomerMapping | InvoiceWriteBack]) -> dict[str, Any]:
            return {name: form_value(form, f"{side}.{name}") or None for name in model.model_fields}

        trigger = {
            "property": form_value(form, "trigger.property") or STAGE,
            "value": form_value(form, "trigger.value"),
        }
        texts = ("item", "account", "taxCode", "numberPrefix")
        return {
            "accountingApp": form_value(form, "accountingApp"),
            **{name: form_value(form, name) or None for name in texts},
            "dueDays": form_value(form, "dueDays"),
            "lines": form_value(form, "lines"),
            **{name: name in form for name in CHECKBOXES},
            "trigger": trigger if trigger["value"] else None,
            "customer": mapping("customer", CustomerMapping),
            "writeBack": mapping("writeBack", InvoiceWriteBack),
        }

    def shown(self, stored: Stored) -> dict[str, Any]:
        if stored is None:
            return {**InvoicesSettings(accountingApp="none").model_dump(), "accountingApp": ""}
        return dict(stored.model.model_dump())

    def saved_notice(self, stored: Stored) -> Sequence[str]:
        """With a trigger: only a change starts a run, so what is there already starts none."""
        if stored is None or stored.model.trigger is None:
            return super().saved_notice(stored)
        if stored.model.trigger.property == STAGE:
            return ("Deals that are in the stage already get no invoice by themselves.",)
        return ("Deals that have the value already get no invoice by themselves.",)

    async def values(
        self, operator: Operator, app: App, stored: Stored, user: HubSpotUser | None
    ) -> dict[str, Any]:
        accounting_app = "" if stored is None else stored.model.accountingApp
        offers = Offers()
        if user is not None:
            offers = await self._recipe.offers(user, accounting_app)
        apps = await self.console.apps(operator)
        labels = {**STAGES, **{each.id: each.label for each in offers.stages}}
        return {
            "rule": None if stored is None else starts(stored.model, labels),
            "accounting_apps": [each.slug for each in apps if each.provider in BOOKS],
            "offers": offers,
            "pipelines": _pipelines(offers.stages),
            "stage_ids": {each.id for each in offers.stages},
            "offered": {
                "writeBack": offers.properties.get(DEALS, {}),
                "customer": {
                    **offers.properties.get(COMPANIES, {}),
                    **offers.properties.get(CONTACTS, {}),
                },
            },
            "own": OWN,
            "by_stage": STAGE,
            "labels": LABELS,
            "polls": await self._recipes.polls.of_app(app.workspace_id, app.id, NAME, USERS),
        }


def _pipelines(stages: Sequence[Stage]) -> list[tuple[str, list[Stage]]]:
    """Each pipeline's label with its stages, in the account's order."""
    return [
        (key[1], list(found))
        for key, found in groupby(stages, lambda each: (each.pipeline_id, each.pipeline_label))
    ]
