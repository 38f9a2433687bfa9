"""HubSpot's workflow actions that wait for a run: completed when it ends, however long it takes."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from broker.concurrency.backoff import Backoff
from broker.crm.records import CrmRecords, HubSpotUser
from broker.domain.runs import RunRecord, RunTask
from broker.errors import BrokerError
from broker.recipes.base import AnySpec
from broker.recipes.starts.starting import StartedRun
from broker.services.runs.tasks import TaskKind
from broker.stores.recipes.run_records import RunRecords
from broker.stores.recipes.tasks import TaskStore

KIND = "workflow-callback"
RETRIES = Backoff(first=2, longest=3600, jitter=(0.7, 1.3), attempts=20)
"""A callback is given up after about half a day; HubSpot ends the action by itself after a week."""

MAX_MESSAGE = 500


class WorkflowCallbacks:
    """Completes the actions that HubSpot waits for."""

    def __init__(
        self, tasks: TaskStore, runs: RunRecords, crm: CrmRecords, specs: Mapping[str, AnySpec]
    ) -> None:
        self._tasks = tasks
        self._runs = runs
        self._crm = crm
        self._specs = specs

    async def wait(self, run_id: UUID, callback_id: str, user: HubSpotUser) -> None:
        """Complete an action when the run ends."""
        payload = {"user": user.user_ref}
        await self._tasks.enqueue(user.workspace_id, run_id, KIND, callback_id, payload)

    def task_kind(self) -> TaskKind:
        """What completing an action is, for the worker."""
        return TaskKind(KIND, RETRIES, self._complete)

    async def _complete(self, task: RunTask) -> None:
        run = await self._runs.get(task.workspace_id, task.run_id)
        user = HubSpotUser(task.workspace_id, task.app_slug, task.payload["user"], task.hub_id)
        output = output_fields(self._specs[run.recipe], run)
        await self._crm.writer(user).complete_action(task.key, output)


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
