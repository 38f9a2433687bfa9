"""The steps of a run: read the order, write contact, deal and association.

What makes each effect one: the deal is upserted by `{shop}:{order id}` and the contact written by
e-mail or `{shop}:{customer id}`, all unique in HubSpot, and an association is there or not.
Repeating is harmless. Runs of one order may overlap: whoever has written reads the order again
afterwards, and writes again when it has changed, so that the last write is never of an older order.
Only then is the version recorded: what a webhook and a poll report of one change is written once.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from broker.crm.object_types import CONTACTS, DEALS
from broker.crm.partners import PartnerCalls, PartnerUser
from broker.crm.records import CrmRecords, RecordWriter, user_of
from broker.domain.runs import RetryLater, Run, Step, StepContext
from broker.errors import BrokerError, InputRefused
from broker.recipes.orders import writes
from broker.recipes.orders.buyers import write_contact
from broker.recipes.orders.models import KEY, STATE, OrdersSettings
from broker.recipes.orders.port import Shop, ShopOrder, UnreadableOrder
from broker.recipes.orders.shopify import Shopify
from broker.recipes.orders.woocommerce import WooCommerce
from broker.recipes.settings import RecipeSetup
from broker.stores.recipes.shop_orders import ShopOrders, ShopPlace

ADAPTERS: tuple[Shop, ...] = (Shopify(), WooCommerce())
SHOPS: Mapping[str, Shop] = {each.provider: each for each in ADAPTERS}
"""The adapters, by the provider of the app that the settings name."""

PAUSE_S = 1.0
"""Between two pages of orders, so that a long history leaves quota to others."""

PAGE_S = 20.0
"""For how long a step goes through a page: far less than a step may take."""

MOST_REFUSED = 50
"""How many refused orders a result names."""

ROUNDS = 5
"""How often a step follows an order that changes all the time before it makes a pause."""


def shop_of(provider: str) -> Shop:
    """The adapter for a provider. Raises InputRefused for one that is not a shop."""
    if provider not in SHOPS:
        raise InputRefused(
            "The app that shopApp names does not belong to a shop. Name an app of one of: "
            f"{', '.join(sorted(SHOPS))}."
        )
    return SHOPS[provider]


class OrderSteps:
    """The steps, in one process."""

    def __init__(
        self,
        setup: RecipeSetup[OrdersSettings],
        partners: PartnerCalls,
        crm: CrmRecords,
        written: ShopOrders,
    ) -> None:
        self._setup = setup
        self._partners = partners
        self._crm = crm
        self._written = written

    def steps(self) -> Sequence[Step]:
        return (
            Step("read-order", self.read_order),
            Step("write-records", self.write_records, has_side_effect=True),
        )

    async def read_order(self, context: StepContext) -> Mapping[str, Any]:
        """The order's version, or why nothing is to be written."""
        if "since" in context.run.input:
            return await self._history(context.run)
        settings = await self._settings(context.run.workspace_id, context.run.app_id)
        order = await self._order_now(context.run)
        known = {} if order is None else {"name": order.name, "payment": _payment(order)}
        if order is not None and order.is_test and settings.skipTest:
            return {**known, "skipped": "test"}
        if order is not None and context.run.input.get("reported"):
            found = await self._written.versions(_place(context.run), [order.id])
            version, deal_id = found.get(order.id, (None, None))
            if version == order.version:
                return {**known, "skipped": "unchanged", "dealId": deal_id}
        return {**known, "version": None if order is None else order.version}

    async def write_records(self, context: StepContext) -> Mapping[str, Any]:
        """Write until the order is no longer newer than what was written."""
        before = context.outcomes["read-order"]
        if "skipped" in before:
            return {name: before[name] for name in ("skipped", "dealId") if name in before}
        run, user = context.run, user_of(context.run)
        assert user is not None  # noqa: S101  # every run of the recipe acts for a user
        settings = await self._settings(run.workspace_id, run.app_id)
        writer = self._crm.writer(user)
        if "since" in run.input:
            return await self._write_changed(context, writer, settings)
        order_id = run.input["orderId"]
        return await self._follow(run, writer, order_id, await self._order_now(run), settings)

    async def _write_changed(
        self, context: StepContext, writer: RecordWriter, settings: OrdersSettings
    ) -> Mapping[str, Any]:
        """Write some of the orders that have changed since a moment. The checkpoint is where the
        next ones begin, so that each attempt begins with those whose end is not known.
        """
        run, checkpoint = context.run, context.checkpoint
        partner, since = _partner(run), datetime.fromisoformat(run.input["since"])
        orders, cursor = await shop_of(partner.provider).changed_since(
            self._partners, partner, since, checkpoint.get("cursor")
        )
        written, refused = checkpoint.get("written", 0), list(checkpoint.get("refused", ()))
        ended, stop_at = list(checkpoint.get("ended", ())), time.monotonic() + PAGE_S

        def page() -> dict[str, Any]:
            progress = {"written": written, "refused": refused, "ended": ended}
            return {"cursor": checkpoint.get("cursor"), **progress}

        for order in orders:
            if order.id in ended:
                continue
            if time.monotonic() > stop_at:  # a slow shop or account: go on with this page
                raise RetryLater(PAUSE_S, "more orders", page())
            try:
                written += await self._write_listed(run, writer, order, settings)
            except InputRefused as refusal:  # a person's matter, which does not hold up the rest
                if len(refused) < MOST_REFUSED:
                    refused.append({"orderId": order.id, "message": refusal.detail or ""})
            except RetryLater as later:
                raise RetryLater(later.after_s, later.reason, page()) from later
            ended.append(order.id)
        done = {"written": written, "refused": refused}
        if cursor is not None:
            raise RetryLater(PAUSE_S, "more orders", {"cursor": cursor, **done})
        return done

    async def _write_listed(
        self,
        run: Run,
        writer: RecordWriter,
        order: ShopOrder | UnreadableOrder,
        settings: OrdersSettings,
    ) -> int:
        """How many orders were written: none where it is a test's. Raises InputRefused for one that
        cannot be read.
        """
        if isinstance(order, UnreadableOrder):
            raise InputRefused(order.message)
        if order.is_test and settings.skipTest:
            return 0
        await self._follow(run, writer, order.id, order, settings)
        return 1

    async def _history(self, run: Run) -> Mapping[str, Any]:
        """What a person should know of orders that the shop leaves out."""
        partner, since = _partner(run), datetime.fromisoformat(run.input["since"])
        shop, now = shop_of(partner.provider), datetime.now(UTC)
        note = await shop.history_note(self._partners, partner, since, now)
        return {"notes": [] if note is None else [note]}

    async def _follow(
        self,
        run: Run,
        writer: RecordWriter,
        order_id: str,
        order: ShopOrder | None,
        settings: OrdersSettings,
    ) -> dict[str, Any]:
        """Write an order until it has not changed meanwhile."""
        created = False
        key = writes.deal_key(run.input["shop"], order_id)
        try:
            for _ in range(ROUNDS):
                if order is None:
                    await self._written.discard(_place(run), order_id)
                    return await self._delete(writer, key, settings)
                outcome = await self._write(writer, key, run.input["shop"], order, settings)
                created = created or outcome["created"]
                newer = await self._order_now(run, order_id)
                if newer is not None and newer.version == order.version:
                    deal_id = outcome["dealId"]
                    await self._written.record(_place(run), order_id, order.version, deal_id)
                    return {**outcome, "created": created}
                order = newer
        except BrokerError:  # another run may have written a newer version before this one's
            await self._written.discard(_place(run), order_id)
            raise
        raise RetryLater(2, "the order changes all the time")

    async def _order_now(self, run: Run, order_id: str | None = None) -> ShopOrder | None:
        """An order, the run's own unless another is named, in the shop in which the run began."""
        user, wanted = _partner(run), order_id or run.input["orderId"]
        return await shop_of(user.provider).read(self._partners, user, wanted)

    async def _write(
        self,
        writer: RecordWriter,
        key: str,
        shop: str,
        order: ShopOrder,
        settings: OrdersSettings,
    ) -> dict[str, Any]:
        contact_id = await write_contact(writer, shop, order.buyer, settings)
        current = await writer.read(DEALS, key, ["dealstage", STATE], KEY)
        properties = writes.deal_properties(order, settings, current)
        try:
            deal = await writer.upsert(DEALS, KEY, key, properties)
        except InputRefused as refusal:
            raise _explained(refusal, order, settings) from refusal
        if contact_id is not None:
            await writer.associate(DEALS, deal.id, CONTACTS, contact_id)
        notes = []
        if contact_id is None:
            notes.append("The order names no e-mail address and no customer: it has no contact.")
        if writes.stays_lost(order, settings, current):
            notes.append("The order is paid, and its deal stays lost, because a person closed it.")
        return {
            "created": deal.created,
            "notes": notes,
            "dealId": deal.id,
            "contactId": contact_id,
            "amount": writes.amount_of(order, settings),
            "currency": order.currency,
            "stage": properties.get("dealstage") or (current or {}).get("dealstage"),
        }

    async def _delete(
        self, writer: RecordWriter, key: str, settings: OrdersSettings
    ) -> dict[str, Any]:
        current = await writer.read(DEALS, key, ["hs_object_id"], KEY)
        if current is None:
            return {"skipped": "no-order"}
        properties = writes.deleted_properties(settings)
        deal = await writer.upsert(DEALS, KEY, key, properties)
        return {"created": False, "dealId": deal.id, "amount": "0", "stage": settings.stages.lost}

    async def _settings(self, workspace_id: UUID, app_id: UUID) -> OrdersSettings:
        return (await self._setup.of_app(workspace_id, app_id)).model


def _payment(order: ShopOrder) -> str | None:
    """The payment status in lower-case words."""
    return None if order.financial is None else order.financial.replace("_", " ").lower()


def build_result(context: StepContext) -> Mapping[str, Any]:
    """A run's result."""
    outcome, before = context.outcomes["write-records"], context.outcomes["read-order"]
    notes = [*before.get("notes", ()), *outcome.get("notes", ())]
    return {"ok": True, "created": False, **outcome, "notes": notes}


def _partner(run: Run) -> PartnerUser:
    """The user of the shop in which a run began."""
    return PartnerUser(
        run.workspace_id,
        run.input["shopApp"],
        run.user_ref or "",
        run.input["provider"],
        run.input["shop"],
    )


def _place(run: Run) -> ShopPlace:
    """The shop in which a run began, beside the HubSpot account in which it did."""
    assert run.hub_id is not None  # noqa: S101  # every run of the recipe has one
    return ShopPlace(run.workspace_id, run.app_id, run.hub_id, run.input["shop"])


def _explained(refusal: InputRefused, order: ShopOrder, settings: OrdersSettings) -> InputRefused:
    """What to do about properties of the deal that HubSpot rejects."""
    errors = refusal.context.get("errors", [])
    rejected = {each["field"] for each in errors}
    if settings.deal.currency in rejected:
        return InputRefused(
            f"The HubSpot account does not have the currency {order.currency}. Add it there "
            "(Settings, Account defaults, Currency), then retry.",
            errors=errors,
        )
    if rejected & {"pipeline", "dealstage"}:
        return InputRefused(
            f"The HubSpot account has no pipeline {settings.pipeline} with these stages. Put the "
            "ids of a pipeline and of its stages into the settings, then retry.",
            errors=errors,
        )
    return refusal
