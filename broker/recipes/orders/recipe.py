"""The orders recipe: a shop's order becomes a deal, its buyer and their association in HubSpot, and
the deal follows the order through edits, refunds and cancellations.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from broker.crm.object_types import DEALS
from broker.crm.partners import PartnerUser
from broker.crm.records import HubSpotUser
from broker.domain.events import ProviderEvent
from broker.domain.model import App, Caller
from broker.domain.runs import Consistency, Recipe, RetryLater, RunRequest, Step, StepContext
from broker.errors import BrokerError, InputRefused
from broker.recipes.base import (
    DefaultRecipe,
    Finding,
    PropertyDefinitions,
    RecipeDeps,
    StartingRecord,
)
from broker.recipes.orders import writes
from broker.recipes.orders.account import Account, account_findings, read_account
from broker.recipes.orders.comparison import consistency_of
from broker.recipes.orders.models import KEY, STATE, VERSION, OrderRequest, OrdersSettings
from broker.recipes.orders.port import ShopOrder
from broker.recipes.orders.shop_changes import ShopChanges
from broker.recipes.orders.shop_events import ShopEvents, order_request, run_request
from broker.recipes.orders.steps import OrderSteps, build_result, shop_of
from broker.recipes.settings import RecipeSetup, StoredSettings
from broker.recipes.starts.polling import DuePoll, PollResult
from broker.stores.events.webhook_inbox import LockedBatch
from broker.stores.recipes.polls import PollStore
from broker.stores.recipes.shop_orders import ShopOrders

MOST_COMPARED = 1000
"""Of how many users' shops the recipe's health shows the comparison."""


class OrdersRecipe(DefaultRecipe[OrdersSettings]):
    """The recipe in one process."""

    def __init__(self, deps: RecipeDeps, setup: RecipeSetup[OrdersSettings]) -> None:
        self.setup = setup
        self._crm = deps.crm
        self._accounts = deps.accounts
        self._partners = deps.partners
        self._written = ShopOrders(deps.database)
        self._steps = OrderSteps(setup, deps.partners, deps.crm, self._written)
        self._polls = PollStore(deps.database)
        self._changes = ShopChanges(setup, deps.partners, deps.crm, self._written)
        recipe = Recipe(setup.name, VERSION, self.steps(), build_result)
        self._events = ShopEvents(setup, deps.partners, recipe)

    def steps(self) -> Sequence[Step]:
        return self._steps.steps()

    def build_result(self, context: StepContext) -> Mapping[str, Any]:
        return build_result(context)

    async def run_request(self, app: App, caller: Caller, body: OrderRequest) -> RunRequest:
        """One run for each version of an order: a start after the order has changed is another."""
        body.check()
        settings = (await self.setup.get(app)).model
        user = await self._accounts.user(app, caller, body.userForeignIdentifier)
        partner = await self._partner(user, settings)
        if body.orderId is None:
            assert body.since is not None  # noqa: S101  # `check` has seen to it
            since = body.since.isoformat()
            return run_request(app.id, user, partner, f"since:{since}", {"since": since})
        order = await self._read(partner, body.orderId)
        return order_request(app.id, user, partner, body.orderId, _version(order))

    async def dry_run(self, app: App, caller: Caller, body: OrderRequest) -> Mapping[str, Any]:
        body.check()
        assert body.orderId is not None  # noqa: S101  # `check` has seen to it
        settings = (await self.setup.get(app)).model
        user = await self._accounts.user(app, caller, body.userForeignIdentifier)
        partner = await self._partner(user, settings)
        order = await self._read(partner, body.orderId)
        if order is None:
            return {"skipped": "no-order"}
        if order.is_test and settings.skipTest:
            return {"skipped": "test"}
        key = writes.deal_key(partner.account_id, body.orderId)
        current = await self._crm.reader(user).read(DEALS, key, ["dealstage", STATE], KEY)
        deal = {**writes.deal_properties(order, settings, current), KEY: key}
        known_by = writes.contact_of(partner.account_id, order.buyer)
        contact = None
        if known_by is not None:
            contact = {**writes.contact_properties(order.buyer, settings), known_by[0]: known_by[1]}
        return {
            "amount": writes.amount_of(order, settings),
            "currency": order.currency,
            "wouldWrite": {"deal": deal, "contact": contact},
        }

    async def watch(
        self,
        locked: LockedBatch,
        events: Sequence[ProviderEvent],
        users: Mapping[str, Sequence[str]],
    ) -> None:
        await self._events.watch(locked, events, users)

    async def poll(self, due: DuePoll) -> PollResult:
        return await self._changes.look(due)

    def periodic_tasks(self) -> Sequence[tuple[str, float, Callable[[], Awaitable[Any]]]]:
        return (("old orders of shops", 600, self._written.purge),)

    async def record_request(
        self, _record: StartingRecord, _settings: StoredSettings[OrdersSettings]
    ) -> RunRequest:
        raise InputRefused("Orders are started by the shop, not by a record of HubSpot's.")

    def properties(self, _settings: OrdersSettings) -> Sequence[PropertyDefinitions]:
        return writes.definitions()

    async def findings(
        self, _app: App, user: HubSpotUser, settings: StoredSettings[OrdersSettings]
    ) -> list[Finding]:
        """Whether orders of the user's shop can be read, and written as the settings say."""
        found, currency = [], None
        try:
            partner = await self._partner(user, settings.model)
            await self._read(partner, "1")  # there is no such order
            currency = await shop_of(partner.provider).currency(self._partners, partner)
        except RetryLater as later:
            found = [Finding(about="shop", message=later.reason, remedy="Check again later.")]
        except BrokerError as refusal:
            message = refusal.detail or refusal.title()
            remedy = f"Have the user connect a shop with the app {settings.model.shopApp}."
            found = [Finding(about="shop", message=message, remedy=remedy)]
        if user.hub_id is None:  # not connected, as another finding says
            return found
        account = await self.account(user)
        return found + list(account_findings(account, settings.model, currency))

    async def consistency(self, app: App) -> Consistency | None:
        """The last comparison of orders that were written with the shops, of so many users."""
        polls = await self._polls.of_app(app.workspace_id, app.id, self.setup.name, MOST_COMPARED)
        return consistency_of([each.cursor for each in polls])

    async def account(self, user: HubSpotUser) -> Account:
        """What a user's HubSpot account offers."""
        return await read_account(self._crm.reader(user))

    async def _partner(self, user: HubSpotUser, settings: OrdersSettings) -> PartnerUser:
        """The user's shop. Raises what a connection may be refused for, and InputRefused."""
        partner = await self._partners.user(user.workspace_id, settings.shopApp, user.user_ref)
        shop_of(partner.provider)
        return partner

    async def _read(self, partner: PartnerUser, order_id: str) -> ShopOrder | None:
        return await shop_of(partner.provider).read(self._partners, partner, order_id)


def _version(order: ShopOrder | None) -> str:
    return "deleted" if order is None else order.version
