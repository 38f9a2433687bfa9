"""Changes of HubSpot records that start a recipe, seen while HubSpot's webhooks are split."""

import logging
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from broker.crm.object_types import changed_property
from broker.crm.records import HubSpotUser
from broker.domain.runs import ObjectTrigger, Recipe, RecipeSetting
from broker.errors import BrokerError, Busy
from broker.providers.hubspot.events.webhooks import HubSpotEvent
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
        events: Sequence[HubSpotEvent],
        users: Mapping[int, Sequence[str]],
    ) -> None:
        """Start a run for each record whose change starts a recipe of the app."""
        changes = [
            (each.hub_id, changed)
            for each in events
            if users.get(each.hub_id) and (changed := changed_property(each)) is not None
        ]
        if not changes:
            return
        batch = locked.batch
        configured = await self._settings.with_triggers(
            locked.session, batch.workspace_id, batch.app_id
        )
        for hub_id, (object_type, record_id, name, value) in changes:
            trigger = ObjectTrigger(object_type, name, value)
            user = HubSpotUser(batch.workspace_id, batch.app_slug or "", users[hub_id][0], hub_id)
            record = StartingRecord(batch.app_id, user, object_type, record_id)
            for recipe, triggers, setting in configured:
                if trigger in triggers and recipe in self._recipes:
                    await self._start(locked, recipe, setting, record)

    async def _start(
        self, locked: LockedBatch, name: str, setting: RecipeSetting, record: StartingRecord
    ) -> None:
        recipe, fields = self._recipes[name], {"recipe": name, "hub": record.user.hub_id}
        try:
            request = await recipe.record_request(record, recipe.setup.read(setting))
            await start(locked.session, self._steps[name], request, None)
        except Busy:
            raise
        except BrokerError as refusal:
            log.warning("run_not_started", extra={**fields, "reason": refusal.code})
        except ValidationError:
            # Settings of an older version of the recipe must not hold up the app's webhooks.
            log.exception("run_not_started", extra={**fields, "reason": "settings-unreadable"})
