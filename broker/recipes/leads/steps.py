"""The step of a run: bring one pair together, or many, page by page."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from broker.crm.partners import PartnerCalls, PartnerUser
from broker.crm.records import HubSpotUser, user_of
from broker.domain.runs import Step, StepContext
from broker.errors import InputRefused
from broker.recipes.leads.account import Connectors
from broker.recipes.leads.backfill import Backfill
from broker.recipes.leads.fields import mapped_fields
from broker.recipes.leads.models import LeadsSettings, Side
from broker.recipes.leads.org.refusals import FieldsChanged
from broker.recipes.leads.org.salesforce import Leads
from broker.recipes.leads.pairs.pairing import Pairing
from broker.recipes.leads.pairs.work import Work
from broker.recipes.leads.requests import PROVIDER, STEP, partner_of
from broker.recipes.settings import RecipeSetup
from broker.stores.recipes.lead_pairs import LeadPlace


class LeadSteps:
    """The step, in one process."""

    def __init__(
        self,
        setup: RecipeSetup[LeadsSettings],
        partners: PartnerCalls,
        leads: Leads,
        pairing: Pairing,
        backfill: Backfill,
        connectors: Connectors,
    ) -> None:
        self._backfill = backfill
        self._setup = setup
        self._partners = partners
        self._leads = leads
        self._pairing = pairing
        self._connectors = connectors

    def steps(self) -> Sequence[Step]:
        return (Step(STEP, self.synchronise, has_side_effect=True),)

    async def synchronise(self, context: StepContext) -> Mapping[str, Any]:
        """The outcome of one pair, or of a backfill."""
        try:
            return await self._synchronise(context)
        except FieldsChanged:
            self._leads.clear_cache()  # the next attempt asks what there is
            raise

    async def _synchronise(self, context: StepContext) -> Mapping[str, Any]:
        run, user = context.run, user_of(context.run)
        assert user is not None  # noqa: S101  # every run of the recipe acts for a user
        reported = Side(run.input["reported"]) if "reported" in run.input else None
        resumed = context.checkpoint.get("resumed") is True
        work = await self.work(
            run.app_id, user, partner_of(run), reported=reported, resumed=resumed
        )
        if "since" in run.input:
            return await self._backfill.go_on(context, work)
        work = replace(work, attempt=context)
        if "contactId" in run.input:
            return await self._pairing.of_contact(work, run.input["contactId"])
        return await self._pairing.of_lead(work, run.input["leadId"])

    async def work(
        self,
        app_id: UUID,
        user: HubSpotUser,
        partner: PartnerUser,
        *,
        reported: Side | None = None,
        resumed: bool = False,
    ) -> Work:
        """What a run of this user works with. Raises as `Leads.describe`."""
        settings = (await self._setup.of_app(user.workspace_id, app_id)).model
        assert user.hub_id is not None  # noqa: S101  # every run of the recipe has one
        if not settings.besideConnector:
            await self._connectors.refuse(user)
        described = await self._leads.describe(partner)
        if settings.externalIdField not in described.types:
            raise InputRefused(
                f"The connected Salesforce user does not see Lead.{settings.externalIdField}. Make "
                "the field (Setup, Object Manager, Lead, Fields: text, 64 characters, external id, "
                "unique, case sensitive), give the user access to it, then retry."
            )
        return Work(
            user,
            partner,
            LeadPlace(user.workspace_id, app_id, user.hub_id, partner.account_id),
            settings,
            described,
            mapped_fields(settings, described.types),
            reported,
            resumed,
        )

    async def partner(
        self, user: HubSpotUser, settings: LeadsSettings, *, usable: bool = True
    ) -> PartnerUser:
        """The user's org. Raises what a connection may be refused for where it is to be `usable`,
        and InputRefused.
        """
        app = settings.salesforceApp
        found = await self._partners.user(user.workspace_id, app, user.user_ref, usable=usable)
        if found.provider != PROVIDER:
            raise InputRefused("The app that salesforceApp names does not belong to Salesforce.")
        return found


def build_result(context: StepContext) -> Mapping[str, Any]:
    """A run's result. The name of the contact is for lists of runs."""
    outcome = {name: value for name, value in context.outcomes[STEP].items() if name != "name"}
    return {"ok": True, "created": False, **outcome}
