"""What First Mile Labs tells of cases: kept, applied in the order in which it happened, relayed,
and shown on the Company.

FML promises no order and repeats itself. An event is known by its id; each field of a case keeps
the moment of the event that set it, and an older one does not touch it. What a Company shows is
owed until HubSpot has taken it: always the whole of what is known, and whoever finds after writing
that more has become known owes the Company another update, whichever of the two arrived last.
"""

import asyncio
import logging
import random
from datetime import timedelta
from uuid import UUID

from broker.crm.companies import CompanyAccess
from broker.domain.events import NewEvent
from broker.domain.invalidation import Invalidation
from broker.domain.runs import RetryLater
from broker.errors import BrokerError, Busy, NotAuthenticated, RecipeNotFound
from broker.providers.fml.protocol import FmlEvent, check_signature, read_event
from broker.recipes.kyb.settings import KYB, KybSettings, KybSetup
from broker.recipes.kyb.steps import company_changes
from broker.services.access.ttl_cache import TtlCache
from broker.stores.recipes.kyb_cases import Cases, LockedEvent, PendingUpdate
from broker.stores.recipes.recipe_settings import RecipeSettings
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

PATIENCE_S = 3.0
LEASE = timedelta(seconds=30)
SCHEDULE_S = (1, 5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400)
"""Pauses after each failed update of a Company, in seconds: about two days."""


class CaseEvents:
    """First Mile Labs' webhooks, on their way to the Company and to the app's endpoints."""

    def __init__(
        self,
        settings: RecipeSettings,
        setup: KybSetup,
        cases: Cases,
        companies: CompanyAccess,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._setup = setup
        self._cases = cases
        self._companies = companies
        self._metrics = metrics
        self._cache: TtlCache[tuple[UUID, str], KybSettings | None] = TtlCache(self._find)

    def clear_cache(self) -> None:
        self._cache.clear()

    def invalidate(self, change: Invalidation) -> None:
        """Read the settings of an app again that changed, or whose recipes did."""
        if change.kind in {"app", "recipe"}:
            self._cache.discard_where(lambda key, _: change.is_of_app(*key))

    async def accept(
        self, workspace_id: UUID, slug: str, body: bytes, signature: str | None
    ) -> None:
        """Keep an event; it is safe when this returns, and a repeat changes nothing.

        Raises NotAuthenticated for what First Mile Labs did not sign (an unknown app looks the
        same), InvalidRequest for what is no event, Busy when it should be sent again.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                settings = await self._cache.get((workspace_id, slug))
                check_signature(body, signature, settings.webhook_secrets if settings else ())
                if settings is None:
                    raise NotAuthenticated  # never reached: nothing was signed with no secret
                told = read_event(body)
                fresh = await self._cases.store_event(
                    workspace_id,
                    settings.app_id,
                    told.event_id,
                    told.name,
                    told.case_id,
                    told.record_id,
                    body,
                )
        except TimeoutError as error:
            raise Busy from error
        self._metrics.vendor_events.labels("fml", "kept" if fresh else "duplicate").inc()

    async def apply_due(self, limit: int) -> int:
        """Apply what was kept; how much was. An event that cannot be applied holds up no other."""
        for taken in range(limit):
            if not await self._apply_next():
                return taken
        return limit

    async def write_due(self, limit: int) -> int:
        """Bring Companies up to date; how many were owed it."""
        owed = await self._cases.claim_updates(limit, LEASE)
        await asyncio.gather(*(self._write(each) for each in owed))
        return len(owed)

    async def _apply_next(self) -> bool:
        held: LockedEvent | None = None
        try:
            async with self._cases.claim_event() as held:
                if held is None:
                    return False
                await self._apply(held)
        except Busy:
            raise
        except Exception:
            if held is None:
                raise
            log.exception("event not applied", extra={"event_id": held.key[2]})
            await self._cases.reschedule_event(held)
        return True

    async def _apply(self, held: LockedEvent) -> None:
        told = read_event(held.body)
        case = await held.case(told.case_id, told.record_id, told.source)
        at = told.happened_at(held.received_at)
        user_ref, hub_id = (case.user_ref, case.hub_id) if case else (None, None)
        run_id = str(case.run_id) if case else None
        if case is not None:
            await held.apply(
                case.run_id, told.case_field("status"), told.case_field("stage"), told.decision, at
            )
        if not held.relayed:
            data = {**told.fields, "runId": run_id}
            await held.publish(
                NewEvent(f"kyb.{told.name}", held.app_slug, user_ref, hub_id, data, at)
            )
        await held.delete("applied" if case else "parked")
        self._note(held, told, "applied" if case else "parked")

    def _note(self, held: LockedEvent, told: FmlEvent, outcome: str) -> None:
        # Names, mails and what was decided stay out of the log; ids are enough to find them.
        facts = {"event_id": told.event_id, "case": told.case_id, "outcome": outcome}
        level = logging.WARNING if outcome == "parked" else logging.INFO
        log.log(level, "case event", extra={**facts, "app": held.app_slug, "kind": told.name})
        self._metrics.vendor_events.labels("fml", outcome).inc()

    async def _write(self, owed: PendingUpdate) -> None:
        error: str | None = None
        try:
            settings = await self._setup.of_app(owed.workspace_id, owed.app_id)
            changes = company_changes(settings, owed.state)
            if owed.user_ref is not None and changes:
                writer = self._companies.writer(owed.workspace_id, owed.app_slug, owed.user_ref)
                if not await writer.update(owed.record_id, changes):
                    error = "company-gone"
        except RetryLater as later:
            await self._cases.reschedule(
                owed, timedelta(seconds=later.after_s), "hubspot-throttles"
            )
            return
        except RecipeNotFound as refusal:
            error = refusal.code
        except BrokerError as refusal:
            if owed.attempts <= len(SCHEDULE_S):
                seconds = SCHEDULE_S[owed.attempts - 1] * random.uniform(0.7, 1.3)  # noqa: S311
                await self._cases.reschedule(owed, timedelta(seconds=seconds), refusal.code)
                return
            error = refusal.code
        if error is not None:
            log.warning("company not updated", extra={"run": str(owed.run_id), "reason": error})
        await self._cases.record_written(owed, error)

    async def _find(self, key: tuple[UUID, str]) -> KybSettings | None:
        kept = await self._settings.of_slug(*key, KYB)
        return None if kept is None else KybSettings.of(kept)
