"""What the catalog takes of the KYB recipe: its models, triggers, webhook, routes and panel."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from broker.crm.object_types import COMPANIES, type_id
from broker.domain.runs import (
    ObjectTrigger,
)
from broker.recipes.addresses import ConsolePanel, IncomingEvent, Route, VendorWebhook
from broker.recipes.base import RecipeSpec, WorkflowAction
from broker.recipes.kyb.api import ParkedHandlers
from broker.recipes.kyb.console import views
from broker.recipes.kyb.console.starts import starts
from broker.recipes.kyb.models import (
    NAME,
    READ,
    KickoffRequest,
    KickoffResponse,
    KybSettings,
    check_settings,
)
from broker.recipes.kyb.recipe import KybRecipe
from broker.recipes.kyb.steps import VENDOR

MAX_EVENT_BYTES = 5 * 1_048_576
"""The longest event that is read: a data package holds everything that is known of a company."""


def _triggers(settings: KybSettings) -> Sequence[ObjectTrigger]:
    trigger, object_type = settings.trigger, type_id(COMPANIES)
    if trigger is None or object_type is None:
        return ()
    return (ObjectTrigger(object_type, trigger.property, trigger.value),)


async def _begin_event(
    recipe: KybRecipe, workspace_id: UUID, slug: str, signature: str
) -> IncomingEvent:
    return await recipe.events.begin(workspace_id, slug, signature)


KYB = RecipeSpec(
    name=NAME,
    version=1,
    title="KYB",
    settings=KybSettings,
    start=KickoffRequest,
    response=KickoffResponse,
    build=KybRecipe,
    check_settings=check_settings,
    triggers=_triggers,
    rotating_secrets=("webhookSecret",),
    action=WorkflowAction(
        object_type=COMPANIES,
        record_field="companyId",
        outputs=("caseId", "customerPortalUrl", "inviteSentAt"),
        allows_cards=lambda settings: settings.cards,
        inputs=tuple(READ),
    ),
    inbound=(
        VendorWebhook(
            VENDOR, "X-FML-Signature", r"sha256=[0-9a-f]{64}", MAX_EVENT_BYTES, _begin_event
        ),
    ),
    routes=(Route("GET", "/parked", ParkedHandlers, "index"),),
    handlers=lambda recipe, apps: (ParkedHandlers(apps, recipe.cases),),
    panel=ConsolePanel(
        "KYB", Path(__file__).parent / "templates", views.ROUTES, views.views, starts
    ),
)
