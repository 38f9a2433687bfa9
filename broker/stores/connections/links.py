"""Install links by the hash of their state."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.domain.browser_sessions import InstallLink
from broker.domain.model import App, Secret
from broker.errors import InvalidRequest, LinkExpired, LinkUsed
from broker.sealing import Place, Sealer
from broker.stores.connections.handles import hash_of
from broker.stores.core.database import Database
from broker.stores.core.queries import sql


class Links:
    """What state handles stand for; only their hashes are stored."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def create(self, link: InstallLink, state: Secret, lifetime: timedelta) -> None:
        """Keep a link; of one connect session only the newest works."""
        hashed = hash_of(state)
        if link.session_id is not None:
            await self._database.execute(
                sql.spend_links_of_session, link.app.workspace_id, link.session_id
            )
        verifier = link.verifier and self._sealer.seal(
            link.verifier, _verifier_place(link.app.workspace_id, hashed)
        )
        await self._database.execute(
            sql.create_link,
            link.app.workspace_id,
            hashed,
            link.app.id,
            link.user_ref,
            list(link.scopes),
            verifier,
            link.return_url,
            lifetime,
            link.session_id,
            link.browser_hash,
            json.dumps(dict(link.options)),
        )

    async def use(self, app: App, state: Secret) -> InstallLink:
        """Consume a state: of many callers, one gets the link.

        Raises LinkUsed, LinkExpired, or InvalidRequest for a state that was never minted for
        this app.
        """
        hashed = hash_of(state)
        row = await self._database.fetchrow(sql.use_link, app.workspace_id, hashed, app.id)
        if row is not None:
            return self._link(app, hashed, row)
        row = await self._database.fetchrow(sql.find_link, app.workspace_id, hashed, app.id)
        if row is None:
            raise InvalidRequest("Unknown state: this link was not made here.")
        raise LinkUsed if row["used_at"] is not None else LinkExpired

    async def find(self, app: App, state: Secret) -> InstallLink | None:
        """What a state stands for, used or not."""
        hashed = hash_of(state)
        row = await self._database.fetchrow(sql.find_link, app.workspace_id, hashed, app.id)
        return None if row is None else self._link(app, hashed, row)

    async def reopen(self, app: App, state: Secret) -> None:
        """The provider could not be reached: the same link may be tried again."""
        await self._database.execute(sql.reopen_link, app.workspace_id, hash_of(state))

    async def purge(self) -> int:
        """Delete some links that ran out; how many."""
        return await self._database.purge(sql.purge_links)

    def _link(self, app: App, hashed: bytes, row: Any) -> InstallLink:
        verifier = row["verifier"]
        return InstallLink(
            app=app,
            user_ref=row["user_ref"],
            scopes=tuple(row["scopes"]),
            verifier=verifier
            and self._sealer.open(verifier, _verifier_place(app.workspace_id, hashed)),
            return_url=row["return_url"],
            session_id=row["session_id"],
            browser_hash=row["browser_hash"],
            options=json.loads(row["options"]),
        )


def _verifier_place(workspace_id: UUID, hashed: bytes) -> Place:
    return Place(workspace_id, f"install_link/{hashed.hex()}", "verifier")
