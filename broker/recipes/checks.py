"""Prepare a user's HubSpot account for a recipe, and find what would make a run fail."""

from collections.abc import Sequence
from typing import Any

from broker.crm.accounts import HubSpotAccounts
from broker.crm.object_types import label
from broker.crm.records import CrmRecords, HubSpotUser
from broker.domain.model import App, Caller
from broker.domain.runs import RetryLater
from broker.errors import (
    BrokerError,
    ConnectionNotFound,
    ConnectionPending,
    ReauthRequired,
    ScopesMissing,
)
from broker.recipes.base import AnyRecipe, Finding, PropertyDefinitions
from broker.recipes.preparing import SetupResponse

CONNECT = "Have the user connect with a link of GET /api/hubspot/auth/{slug}."
REMEDIES = {
    ConnectionNotFound: CONNECT,
    ReauthRequired: CONNECT,
    ConnectionPending: "Confirm or claim the connection.",
    ScopesMissing: "Add the scopes to the app at HubSpot and here; have the user connect again.",
}


class Checks:
    """Setup and check of any recipe."""

    def __init__(self, accounts: HubSpotAccounts, crm: CrmRecords) -> None:
        self._accounts = accounts
        self._crm = crm

    async def create_properties(
        self, recipe: AnyRecipe, app: App, caller: Caller, user_ref: str
    ) -> SetupResponse:
        """Create the HubSpot properties that the user's account lacks. Raises RecipeNotFound, what
        a connection may be refused for, and ScopesMissing.
        """
        settings = await recipe.setup.get(app)
        writer = self._crm.writer(await self._accounts.user(app, caller, user_ref))
        created: list[str] = []
        existing: list[str] = []
        for definitions in recipe.properties(settings.model):
            there = await writer.property_names(definitions.object_type)
            for name, definition in definitions.by_name.items():
                (existing if name in there else created).append(name)
                if name not in there:
                    await writer.create_property(definitions.object_type, definition)
        return SetupResponse(created=created, existing=existing)

    async def findings(
        self, recipe: AnyRecipe, app: App, caller: Caller, user_ref: str
    ) -> list[Finding]:
        """Everything that would make a run fail. Raises RecipeNotFound."""
        settings = await recipe.setup.get(app)
        try:
            user = await self._accounts.user(app, caller, user_ref)
        except BrokerError as refusal:
            unconnected = HubSpotUser(app.workspace_id, app.slug, user_ref, None)
            rest = await recipe.findings(app, unconnected, settings)
            return [_finding("connection", refusal), *rest]
        found: list[Finding] = []
        for definitions in recipe.properties(settings.model):
            found += await self._property_findings(user, definitions)
        return found + list(await recipe.findings(app, user, settings))

    async def _property_findings(
        self, user: HubSpotUser, definitions: PropertyDefinitions
    ) -> Sequence[Finding]:
        try:
            there = await self._crm.reader(user).property_names(definitions.object_type)
        except RetryLater as later:
            return [Finding(about="HubSpot", message=later.reason, remedy="Check again later.")]
        except BrokerError as refusal:
            return [
                _finding("scopes" if isinstance(refusal, ScopesMissing) else "HubSpot", refusal)
            ]
        record = label(definitions.object_type)
        return [
            Finding(
                about="properties",
                message=f"{record} has no property {name}.",
                remedy="Run the recipe's setup for this user.",
            )
            for name in definitions.by_name
            if name not in there
        ]


def _finding(about: str, refusal: BrokerError) -> Finding:
    known: dict[type[Any], str] = {**REMEDIES}
    return Finding(
        about=about,
        message=refusal.detail or refusal.title(),
        remedy=known.get(type(refusal), "Check again later."),
    )
