"""HubSpot's workflow actions that wait for a run: completed when it ends, however long it takes."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.concurrency.backoff import Backoff
from broker.crm.records import CrmRecords, HubSpotUser
from broker.domain.runs import RetryLater, RunRecord
from broker.errors import BrokerError, OtherAccount
from broker.recipes.base import AnySpec
from broker.recipes.starting import StartedRun
from broker.stores.recipes.run_records import RunRecords
from broker.stores.recipes.workflow_callbacks import CallbackStore, WorkflowCallback

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
RETRIES = Backoff(first=2, longest=3600, jitter=(0.7, 1.3), attempts=20)
"""A callback is given up after about half a day; HubSpot ends the action by itself after a week."""

MAX_MESSAGE = 500


class WorkflowCallbacks:
    """Completes the actions that HubSpot waits for."""

    def __init__(
        self,
        callbacks: CallbackStore,
        runs: RunRecords,
        crm: CrmRecords,
        specs: Mapping[str, AnySpec],
    ) -> None:
        self._callbacks = callbacks
        self._runs = runs
        self._crm = crm
        self._specs = specs

    async def wait(self, run_id: UUID, callback_id: str, user: HubSpotUser) -> None:
        """Complete an action when the run ends; a repeat changes nothing."""
        await self._callbacks.wait(user.workspace_id, run_id, callback_id, user.user_ref)

    async def complete_due(self, limit: int = 20) -> int:
        """Complete actions whose runs have ended; how many were claimed."""
        claimed = await self._callbacks.claim(limit, LEASE)
        await asyncio.gather(*(self._complete(each) for each in claimed))
        return len(claimed)

    async def _complete(self, callback: WorkflowCallback) -> None:
        run = await self._runs.get(callback.workspace_id, callback.run_id)
        user = HubSpotUser(callback.workspace_id, callback.app_slug, callback.user_ref, run.hub_id)
        try:
            output = output_fields(self._specs[run.recipe], run)
            await self._crm.writer(user).complete_action(callback.callback_id, output)
        except RetryLater as later:
            await self._callbacks.reschedule(callback, timedelta(seconds=later.after_s))
            return
        except BrokerError as refusal:
            log.warning(
                "workflow_callback_failed", extra={"run": str(run.id), "reason": refusal.code}
            )
            final = isinstance(refusal, OtherAccount) or RETRIES.is_exhausted(callback.attempts)
            if not final:
                pause = timedelta(seconds=RETRIES.pause(callback.attempts))
                await self._callbacks.reschedule(callback, pause)
                return
        await self._callbacks.delete(callback)


def output_fields(spec: AnySpec, run: RunRecord) -> dict[str, Any]:
    """A run as a workflow action's output."""
    if run.state == "running":
        return _fields(spec, None, {}, None, "ASYNC")
    try:
        return _fields(spec, True, StartedRun(run, existed=False).result, None, "SUCCESS")
    except BrokerError as refusal:
        return failed(spec, refusal)


def failed(spec: AnySpec, refusal: BrokerError) -> dict[str, Any]:
    """A refusal as a workflow action's output: the workflow goes on, and can branch on `ok`."""
    message = f"{refusal.code}: {refusal.detail or refusal.title()}"[:MAX_MESSAGE]
    return _fields(spec, False, {}, message, "FAIL_CONTINUE")


def _fields(
    spec: AnySpec, ok: bool | None, result: Mapping[str, Any], error: str | None, state: str
) -> dict[str, Any]:
    names = () if spec.action is None else spec.action.outputs
    return {
        "ok": ok,
        **{name: result.get(name) for name in names},
        "error": error,
        "hs_execution_state": state,
    }
