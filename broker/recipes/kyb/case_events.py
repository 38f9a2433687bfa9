"""First Mile Labs' events about cases: stored, applied in the order in which they happened,
relayed, and shown on the Company.

FML promises no order and repeats events. An event is known by its id; each field of a case has the
moment of the event that set it, and an older event does not change it. A Company's update is due
until HubSpot has taken it: it always carries the whole state, and a writer that finds a newer state
afterwards makes another update due, whichever of the two arrived last.
"""

import asyncio
import logging
from uuid import UUID

from broker.concurrency.backoff import Backoff
from broker.crm.object_types import COMPANIES
from broker.crm.records import CrmRecords, HubSpotUser
from broker.domain.events import NewEvent
from broker.domain.invalidation import Invalidation
from broker.domain.runs import RunTask
from broker.errors import Busy, NotAuthenticated
from broker.providers.fml.protocol import FmlEvent, SignatureCheck, read_event
from broker.recipes.kyb.identity import company_of
from broker.recipes.kyb.models import NAME, KybSettings
from broker.recipes.kyb.steps import company_changes
from broker.recipes.settings import RecipeSetup, StoredSettings
from broker.services.access.ttl_cache import TtlCache
from broker.services.runs.tasks import TaskKind
from broker.stores.recipes.kyb_cases import COMPANY_UPDATE, Cases, LockedEvent
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

STORE_TIMEOUT_S = 3.0
RETRIES = Backoff(
    schedule=(1, 5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400), jitter=(0.7, 1.3)
)
"""Twelve attempts at an update of a Company in about two days, unless one succeeds."""


class CaseEvents:
    """First Mile Labs' webhooks, on their way to the Company and to the app's endpoints."""

    def __init__(
        self,
        setup: RecipeSetup[KybSettings],
        cases: Cases,
        crm: CrmRecords,
        metrics: Metrics,
    ) -> None:
        self._setup = setup
        self._cases = cases
        self._crm = crm
        self._metrics = metrics
        self._cache: TtlCache[tuple[UUID, str], StoredSettings[KybSettings] | None] = TtlCache(
            lambda key: setup.find_by_slug(*key)
        )

    def clear_cache(self) -> None:
        self._cache.clear()

    def invalidate(self, change: Invalidation) -> None:
        """Read the settings of an app again that changed, or whose recipes did."""
        if change.kind in {"app", "recipe"}:
            self._cache.discard_where(lambda key, _: change.is_of_app(*key))

    def task_kind(self) -> TaskKind:
        """What updating a Company is, for the worker."""
        return TaskKind(COMPANY_UPDATE, RETRIES, self._update_company)

    async def begin(self, workspace_id: UUID, slug: str, signature: str) -> "IncomingCaseEvent":
        """An event whose body is still to come.

        Raises NotAuthenticated for what First Mile Labs cannot have signed (an unknown app looks
        the same), Busy when it should be sent again.
        """
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                settings = await self._cache.get((workspace_id, slug))
        except TimeoutError as error:
            raise Busy from error
        secrets = settings.accepted("webhookSecret") if settings else ()
        check = SignatureCheck(signature, secrets)
        if settings is None:
            raise NotAuthenticated  # never reached: no secret, no signature
        return IncomingCaseEvent(self._cases, self._metrics, workspace_id, settings.app_id, check)

    async def apply_due(self, limit: int = 50) -> int:
        """Apply stored events; how many. An event that cannot be applied holds up no other."""
        for applied in range(limit):
            if not await self._apply_next():
                return applied
        return limit

    async def _apply_next(self) -> bool:
        locked: LockedEvent | None = None
        try:
            async with self._cases.claim_event() as locked:
                if locked is None:
                    return False
                await self._apply(locked)
        except Busy:
            raise
        except Exception:
            if locked is None:
                raise
            log.exception("case_event_failed", extra={"event_id": locked.key[2]})
            await self._cases.reschedule_event(locked)
        return True

    async def _apply(self, locked: LockedEvent) -> None:
        event = read_event(locked.body)
        case = await locked.case(event.case_id, event.record_id, event.source)
        at = event.happened_at(locked.received_at)
        user_ref, hub_id = (case.user_ref, case.hub_id) if case else (None, None)
        run_id = str(case.run_id) if case else None
        if case is not None:
            await locked.apply(
                case.run_id,
                event.case_field("status"),
                event.case_field("stage"),
                event.decision,
                at,
            )
        if not locked.relayed:
            data = {**event.fields, "runId": run_id}
            await locked.publish(
                NewEvent(f"{NAME}.{event.name}", locked.app_slug, user_ref, hub_id, data, at)
            )
        await locked.finish("applied" if case else "parked")
        self._record(locked, event, "applied" if case else "parked")

    def _record(self, locked: LockedEvent, event: FmlEvent, outcome: str) -> None:
        # Names, addresses and decisions stay out of the log; ids are enough to find them.
        fields = {"event_id": event.event_id, "case": event.case_id, "outcome": outcome}
        level = logging.WARNING if outcome == "parked" else logging.INFO
        log.log(level, "case_event", extra={**fields, "app": locked.app_slug, "kind": event.name})
        self._metrics.vendor_events.labels("fml", outcome).inc()

    async def _update_company(self, task: RunTask) -> str | None:
        settings = await self._setup.of_app(task.workspace_id, task.app_id)
        state = await self._cases.of_run(task.workspace_id, task.run_id)
        changes = {} if state is None else company_changes(settings.model, state)
        if task.user_ref is None or state is None or not changes:
            return None
        user = HubSpotUser(task.workspace_id, task.app_slug, task.user_ref, task.hub_id)
        company_id = company_of(state.record_id)
        found = await self._crm.writer(user).update(COMPANIES, company_id, changes)
        return None if found else "company-gone"


class IncomingCaseEvent:
    """An event of First Mile Labs' while its body arrives."""

    def __init__(
        self,
        cases: Cases,
        metrics: Metrics,
        workspace_id: UUID,
        app_id: UUID,
        signature: SignatureCheck,
    ) -> None:
        self._cases = cases
        self._metrics = metrics
        self._workspace_id = workspace_id
        self._app_id = app_id
        self._signature = signature

    def update(self, part: bytes) -> None:
        """Hash the next part of the body."""
        self._signature.update(part)

    async def accept(self, body: bytes) -> None:
        """Store the event; it is safe when this returns, and a repeat changes nothing.

        Raises NotAuthenticated for what First Mile Labs did not sign, InvalidRequest for what is
        not an event, Busy when it should be sent again.
        """
        self._signature.finish()
        event = read_event(body)
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                fresh = await self._cases.store_event(
                    self._workspace_id,
                    self._app_id,
                    event.event_id,
                    event.name,
                    event.case_id,
                    event.record_id,
                    body,
                )
        except TimeoutError as error:
            raise Busy from error
        self._metrics.vendor_events.labels("fml", "stored" if fresh else "duplicate").inc()
