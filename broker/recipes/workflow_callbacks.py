"""HubSpot's workflow actions that wait for a run: completed when it ends, however long it takes."""

import asyncio
import logging
import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.crm.companies import CompanyAccess
from broker.domain.runs import RetryLater, RunRecord
from broker.errors import BrokerError
from broker.recipes.kyb.kickoffs import KickoffResult
from broker.stores.recipes.run_records import RunRecords
from broker.stores.recipes.workflow_callbacks import CallbackStore, WorkflowCallback

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
MAX_ATTEMPTS = 20
LONGEST_PAUSE_S = 3600.0
"""An action is given up after about half a day; HubSpot ends it by itself after a week."""

WORDS = 500


class WorkflowCallbacks:
    """Completes what HubSpot waits for."""

    def __init__(self, actions: CallbackStore, runs: RunRecords, companies: CompanyAccess) -> None:
        self._actions = actions
        self._runs = runs
        self._companies = companies

    async def wait(self, workspace_id: UUID, run_id: UUID, callback_id: str, user_ref: str) -> None:
        """Complete an action when the run ends; asked again it changes nothing."""
        await self._actions.wait(workspace_id, run_id, callback_id, user_ref)

    async def complete_due(self, limit: int) -> int:
        """Complete actions whose runs have ended; how many were taken."""
        claimed = await self._actions.claim(limit, LEASE)
        await asyncio.gather(*(self._complete(each) for each in claimed))
        return len(claimed)

    async def _complete(self, action: WorkflowCallback) -> None:
        run = await self._runs.get(action.workspace_id, action.run_id)
        writer = self._companies.writer(action.workspace_id, action.app_slug, action.user_ref)
        try:
            await writer.complete_action(action.callback_id, output_fields(run))
        except RetryLater as later:
            await self._actions.reschedule(action, timedelta(seconds=later.after_s))
            return
        except BrokerError as refusal:
            log.warning("action not completed", extra={"run": str(run.id), "reason": refusal.code})
            if action.attempts < MAX_ATTEMPTS:
                pause = min(2.0**action.attempts, LONGEST_PAUSE_S) * random.uniform(0.7, 1.3)  # noqa: S311
                await self._actions.reschedule(action, timedelta(seconds=pause))
                return
        await self._actions.delete(action)


def output_fields(run: RunRecord) -> dict[str, Any]:
    """A run as a workflow action's output."""
    if run.state == "running":
        return fields(None, {}, None, "ASYNC")
    try:
        return fields(True, KickoffResult(run, existed=False).answer, None, "SUCCESS")
    except BrokerError as refusal:
        return failed(refusal)


def failed(refusal: BrokerError) -> dict[str, Any]:
    """A refusal as a workflow action's output: the workflow goes on, and can branch on `ok`."""
    words = f"{refusal.code}: {refusal.detail or refusal.title()}"[:WORDS]
    return fields(False, {}, words, "FAIL_CONTINUE")


def fields(
    ok: bool | None, result: Mapping[str, Any], error: str | None, state: str
) -> dict[str, Any]:
    return {
        "ok": ok,
        "caseId": result.get("caseId"),
        "customerPortalUrl": result.get("customerPortalUrl"),
        "inviteSentAt": result.get("inviteSentAt"),
        "error": error,
        "hs_execution_state": state,
    }
