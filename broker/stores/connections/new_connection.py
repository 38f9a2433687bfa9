"""A connection's first row, made while its app cannot be removed."""

from uuid import UUID

from broker.domain.model import App, Status
from broker.stores.core.database import Session
from broker.stores.core.queries import sql


async def begin_connection(
    session: Session, app: App, connection_id: UUID, user_ref: str | None, status: Status
) -> None:
    """Make room for a user's connection unless there is one, or the app is being removed."""
    if await session.fetchval(sql.share_app, app.workspace_id, app.id) is None:
        return
    row = app.workspace_id, connection_id
    if await session.fetchval(sql.begin_connection, *row, app.id, user_ref, status.value):
        await session.execute(sql.begin_grant, *row)
        await session.execute(sql.begin_renewal, *row)
