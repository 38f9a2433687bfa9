"""HubSpot's workflow actions that wait for runs."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from broker.stores.core.database import Database
from broker.stores.core.queries import sql


@dataclass(frozen=True, slots=True)
class WorkflowCallback:
    """An action whose run has ended, claimed."""

    workspace_id: UUID
    run_id: UUID
    callback_id: str
    user_ref: str
    attempts: int
    app_slug: str


class CallbackStore:
    """Callbacks to complete, until they are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wait(self, workspace_id: UUID, run_id: UUID, callback_id: str, user_ref: str) -> None:
        await self._database.execute(
            sql.insert_workflow_callback, workspace_id, run_id, callback_id, user_ref
        )

    async def claim(self, limit: int, lease: timedelta) -> list[WorkflowCallback]:
        """Claim actions whose runs have ended; other processes leave them while the lease lasts."""
        rows = await self._database.fetch(sql.claim_workflow_callbacks, limit, lease)
        return [
            WorkflowCallback(
                row["workspace_id"],
                row["run_id"],
                row["callback_id"],
                row["user_ref"],
                row["attempts"],
                row["slug"],
            )
            for row in rows
        ]

    async def reschedule(self, action: WorkflowCallback, pause: timedelta) -> None:
        """It could not be completed now."""
        key = action.workspace_id, action.run_id, action.callback_id
        await self._database.execute(sql.reschedule_workflow_callback, *key, pause)

    async def delete(self, action: WorkflowCallback) -> None:
        """It is completed, or HubSpot no longer waits for it."""
        key = action.workspace_id, action.run_id, action.callback_id
        await self._database.execute(sql.delete_workflow_callback, *key)
