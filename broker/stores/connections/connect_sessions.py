"""Connect sessions by the hash of their token."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from broker.domain.browser_sessions import ConnectSession
from broker.domain.model import App, Secret
from broker.sealing import Sealer
from broker.stores.access.keys import SESSION, hash_of, mint, workspace_of
from broker.stores.connections.apps import read_app
from broker.stores.core.database import Database
from broker.stores.core.queries import sql


class ConnectSessions:
    """Connect sessions; what is stored opens no page."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def create(
        self,
        app: App,
        user_ref: str,
        return_url: str | None,
        lifetime: timedelta,
        user_label: str | None,
        options: Mapping[str, str],
    ) -> tuple[Secret, datetime]:
        """A new session: its token, and when it runs out."""
        token = mint(SESSION, app.workspace_id)
        expires_at: datetime = await self._database.fetchval(
            sql.create_connect_session,
            app.workspace_id,
            uuid4(),
            hash_of(token),
            app.id,
            user_ref,
            user_label,
            return_url,
            lifetime,
            json.dumps(dict(options)),
        )
        return token, expires_at

    async def find(self, token: Secret) -> ConnectSession | None:
        workspace_id = workspace_of(token.reveal(), (SESSION,))
        if workspace_id is None:
            return None
        row = await self._database.fetchrow(
            sql.connect_session_of_token, workspace_id, hash_of(token)
        )
        return None if row is None else self._session(row)

    async def find_id(self, workspace_id: UUID, session_id: UUID) -> ConnectSession | None:
        row = await self._database.fetchrow(sql.connect_session_of_id, workspace_id, session_id)
        return None if row is None else self._session(row)

    async def begin(
        self, session: ConnectSession, browser: Secret, origin: str | None, nonce: str | None
    ) -> bool:
        """Bind a session to a browser; False when it is another's, connected or too old."""
        touched = await self._database.execute(
            sql.begin_connect_session,
            session.app.workspace_id,
            session.id,
            hash_of(browser),
            origin,
            nonce,
        )
        return touched == 1

    async def record_outcome(
        self, workspace_id: UUID, session_id: UUID, outcome: str, *, granted: bool
    ) -> None:
        await self._database.execute(
            sql.record_connect_outcome, workspace_id, session_id, outcome, granted
        )

    async def purge(self) -> int:
        """Delete some sessions that ran out; how many."""
        return await self._database.purge(sql.purge_connect_sessions)

    def _session(self, row: Any) -> ConnectSession:
        return ConnectSession(
            id=row["session_id"],
            app=read_app(self._sealer, row),
            workspace_name=row["workspace_name"],
            user_ref=row["user_ref"],
            user_label=row["user_label"],
            return_url=row["return_url"],
            options=json.loads(row["link_options"]),
            browser_hash=row["browser_hash"],
            origin=row["origin"],
            nonce=row["nonce"],
            outcome=row["outcome"],
            ended=row["ended"],
            expired=row["expired"],
        )
