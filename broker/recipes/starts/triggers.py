"""Events of providers that start a recipe, seen while their webhooks are split."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pydantic import ValidationError

from broker.crm.object_types import change_of
from broker.crm.records import HubSpotUser
from broker.domain.events import ProviderEvent
from broker.domain.runs import Recipe, RecipeSetting
from broker.errors import BrokerError, Busy
from broker.recipes.base import AnyRecipe, StartingRecord
from broker.stores.events.webhook_inbox import LockedBatch
from broker.stores.recipes.recipe_settings import RecipeSettings
from broker.stores.recipes.runs import start

log = logging.getLogger(__name__)


class Triggers:
    """Starts runs in the transaction that splits a batch, so that an event is relayed and acted on,
    or neither. A second delivery of it finds the run of the first.
    """

    def __init__(
        self,
        settings: RecipeSettings,
        recipes: Mapping[str, AnyRecipe],
        steps: Mapping[str, Recipe],
    ) -> None:
        self._settings = settings
        self._recipes = recipes
        self._steps = steps

    async def watch(
        self,
        locked: LockedBatch,
        events: Sequence[ProviderEvent],
        users: Mapping[str, Sequence[str]],
    ) -> None:
        """Hand the events to the recipes, and start a run for each HubSpot record whose change
        starts a recipe of the app.
        """
        for built in self._recipes.values():
            await built.watch(locked, events, users)
        changes = [
            (each, each.hub_id, change)
            for each in events
            if users.get(each.account_id)
            and each.hub_id is not None
            and (change := change_of(each)) is not None
        ]
        if not changes:
            return
        batch = locked.batch
        configured = await self._settings.with_triggers(
            locked.session, batch.workspace_id, batch.app_id
        )
        for event, hub_id, change in changes:
            user_ref = users[event.account_id][0]
            user = HubSpotUser(batch.workspace_id, batch.app_slug or "", user_ref, hub_id)
            record = StartingRecord(
                batch.app_id,
                user,
                change.object_type,
                change.record_id,
                occasion=event.marks[0].hex(),
            )
            for recipe, triggers, setting in configured:
                if recipe in self._recipes and any(map(change.starts, triggers)):
                    await self._start(locked, recipe, setting, record, event.occurred_at)

    async def _start(
        self,
        locked: LockedBatch,
        name: str,
        setting: RecipeSetting,
        record: StartingRecord,
        occurred_at: datetime | None,
    ) -> None:
        recipe, fields = self._recipes[name], {"recipe": name, "hub": record.user.hub_id}
        try:
            wanted = await recipe.record_request(record, recipe.setup.read(setting))
            request = replace(wanted, triggered_at=occurred_at)
            await start(locked.session, self._steps[name], request, None)
        except Busy:
            raise
        except BrokerError as refusal:
            log.warning("run_not_started", extra={**fields, "reason": refusal.code})
        except ValidationError:
            # Settings of an older version of the recipe must not hold up the app's webhooks.
            log.exception("run_not_started", extra={**fields, "reason": "settings-unreadable"})
