"""Changes of Companies that start a recipe, seen as HubSpot's webhooks are split."""

import logging
import re
from collections.abc import Mapping, Sequence

from broker.domain.runs import Recipe
from broker.errors import InputRefused
from broker.providers.hubspot.events.webhooks import HubSpotEvent
from broker.recipes.kyb.kickoffs import company_kickoff
from broker.recipes.kyb.settings import KYB
from broker.stores.events.webhook_inbox import LockedBatch
from broker.stores.recipes.recipe_settings import triggers_of_app
from broker.stores.recipes.runs import start

log = logging.getLogger(__name__)

COMPANY_TYPE = "0-2"
COMPANY_ID = re.compile(r"[0-9]{1,20}")


class Triggers:
    """Starts runs in the transaction that splits a batch: a change is told and acted on, or
    neither. A second telling of it finds the run of the first.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    async def watch(
        self,
        held: LockedBatch,
        happenings: Sequence[HubSpotEvent],
        users: Mapping[int, Sequence[str]],
    ) -> None:
        """Start a run for each Company whose change an app waits for."""
        changes = [
            each for each in happenings if _is_company_change(each) and users.get(each.hub_id)
        ]
        if not changes:
            return
        batch = held.batch
        triggers = await triggers_of_app(held.session, batch.workspace_id, batch.app_id)
        watched = {(each.property, each.value) for each in triggers if each.recipe == KYB}
        for each in changes:
            said = (each.fields.get("propertyName"), str(each.fields.get("propertyValue")))
            if said not in watched:
                continue
            kickoff = company_kickoff(users[each.hub_id][0], str(each.fields["objectId"]))
            order = kickoff.run_request(batch.workspace_id, batch.app_id, each.hub_id)
            try:
                await start(held.session, self._recipe, order, None)
            except InputRefused as refusal:
                log.warning("run not started", extra={"reason": refusal.code, "hub": each.hub_id})


def _is_company_change(each: HubSpotEvent) -> bool:
    named = each.type == "company.propertyChange" or (
        each.type == "object.propertyChange" and each.fields.get("objectTypeId") == COMPANY_TYPE
    )
    return named and COMPANY_ID.fullmatch(str(each.fields.get("objectId"))) is not None
