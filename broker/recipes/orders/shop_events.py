"""Webhooks of shops: each about an order starts a run, which reads the order as it is then."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from broker.crm.partners import PartnerCalls, PartnerUser
from broker.crm.records import HubSpotUser
from broker.domain.events import ProviderEvent
from broker.domain.runs import Recipe, RunRequest
from broker.errors import BrokerError, Busy
from broker.recipes.orders.models import NAME, OrdersSettings
from broker.recipes.orders.steps import SHOPS
from broker.recipes.settings import RecipeSetup
from broker.stores.events.webhook_inbox import LockedBatch
from broker.stores.recipes.runs import start

log = logging.getLogger(__name__)


class ShopEvents:
    """Starts runs in the transaction that splits a batch, so that none is lost or begun twice."""

    def __init__(
        self, setup: RecipeSetup[OrdersSettings], partners: PartnerCalls, recipe: Recipe
    ) -> None:
        self._setup = setup
        self._partners = partners
        self._recipe = recipe

    async def watch(
        self,
        locked: LockedBatch,
        events: Sequence[ProviderEvent],
        users: Mapping[str, Sequence[str]],
    ) -> None:
        """Start a run for each order that an event names, in each HubSpot account that is connected
        beside the shop. The webhook is a hint: its body is not used.
        """
        shop, batch = SHOPS.get(locked.batch.provider), locked.batch
        if shop is None or batch.app_slug is None:
            return
        found = [
            (event, order_id)
            for event in events
            if users.get(event.account_id)
            and (order_id := shop.order_in(event.topic, event.data["payload"])) is not None
        ]
        if not found:
            return
        try:
            configured = await self._setup.naming(
                locked.session, batch.workspace_id, "shopApp", batch.app_slug
            )
        except ValidationError:
            # Settings of an older version of the recipe must not hold up the app's webhooks.
            log.exception("run_not_started", extra={"reason": "settings-unreadable"})
            return
        for event, order_id in found:
            for slug, settings in configured:
                for user in await self._accounts(batch.workspace_id, slug, users[event.account_id]):
                    partner = PartnerUser(
                        batch.workspace_id,
                        batch.app_slug,
                        user.user_ref,
                        batch.provider,
                        event.account_id,
                    )
                    version = f"event:{event.marks[0].hex()}"
                    request = order_request(
                        settings.app_id, user, partner, order_id, version, reported=True
                    )
                    await self._start(locked, replace(request, triggered_at=event.occurred_at))

    async def _accounts(
        self, workspace_id: UUID, slug: str, user_refs: Sequence[str]
    ) -> Sequence[HubSpotUser]:
        """One user of each HubSpot account: two of one account share its deals."""
        found: dict[str, HubSpotUser] = {}
        for user_ref in user_refs:
            try:
                user = await self._partners.user(workspace_id, slug, user_ref)
            except Busy:
                raise
            except BrokerError:  # this user has no HubSpot, or has to connect again
                continue
            hub_id = int(user.account_id)
            found.setdefault(user.account_id, HubSpotUser(workspace_id, slug, user_ref, hub_id))
        return list(found.values())

    async def _start(self, locked: LockedBatch, request: RunRequest) -> None:
        try:
            await start(locked.session, self._recipe, request, None)
        except Busy:
            raise
        except BrokerError as refusal:
            fields = {"recipe": request.recipe, "hub": request.hub_id, "reason": refusal.code}
            log.warning("run_not_started", extra=fields)


def order_request(
    app_id: UUID,
    user: HubSpotUser,
    partner: PartnerUser,
    order_id: str,
    version: str,
    *,
    reported: bool = False,
) -> RunRequest:
    """The run for a version of an order of one shop, for one HubSpot account. `reported`: nobody
    asked for it, so that it writes nothing when the deal shows this version already.
    """
    fields: dict[str, Any] = {"orderId": order_id, **({"reported": True} if reported else {})}
    return run_request(app_id, user, partner, f"{order_id}@{version}", fields)


def run_request(
    app_id: UUID,
    user: HubSpotUser,
    partner: PartnerUser,
    subject: str,
    fields: Mapping[str, Any],
) -> RunRequest:
    """A run for something of one shop's, for one HubSpot account."""
    return RunRequest(
        user.workspace_id,
        app_id,
        NAME,
        f"{user.hub_id}-{partner.account_id}:{subject}",
        user.user_ref,
        user.hub_id,
        {
            **fields,
            "shopApp": partner.app_slug,
            "provider": partner.provider,
            "shop": partner.account_id,
        },
    )
