"""Install links by the hash of their state, and grants held until their code comes back."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from broker.domain.browser_sessions import InstallLink
from broker.domain.model import Account, App, PendingGrant, Secret, Status, Tokens
from broker.errors import InvalidRequest, LinkExpired, LinkUsed, NotFound
from broker.sealing import Place, Sealer
from broker.stores.connections.apps import read_app
from broker.stores.connections.locked_connection import LockedConnection, lifetime_of, seal_tokens
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql

UNKNOWN_CODE = "This code is unknown, or a newer install took its place; make a new link."


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
            raise InvalidRequest("This link is not one of ours.")
        raise LinkUsed if row["used_at"] is not None else LinkExpired

    async def find(self, app: App, state: Secret) -> InstallLink | None:
        """What a state stands for, used or not."""
        hashed = hash_of(state)
        row = await self._database.fetchrow(sql.find_link, app.workspace_id, hashed, app.id)
        return None if row is None else self._link(app, hashed, row)

    async def reopen(self, app: App, state: Secret) -> None:
        """HubSpot could not be asked: the same link may be tried again."""
        await self._database.execute(sql.reopen_link, app.workspace_id, hash_of(state))

    async def purge(self) -> None:
        await self._database.execute(sql.purge_links)

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
        )


class PendingGrants:
    """Grants that nobody may use until somebody with a key brings their code back."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def store(
        self,
        held: LockedConnection,
        reason: str,
        tokens: Tokens,
        account: Account,
        code: Secret,
        lifetime: timedelta,
        return_url: str | None = None,
    ) -> None:
        """Hold a grant for a held connection, in its transaction; earlier ones are dropped."""
        connection, held_id = held.connection, uuid4()
        await held.session.execute(
            sql.delete_pending_grants, connection.workspace_id, connection.id
        )
        await held.session.execute(
            sql.insert_pending_grant,
            connection.workspace_id,
            held_id,
            hash_of(code),
            connection.app_id,
            connection.id,
            reason,
            account.hub_id,
            account.hub_domain,
            account.user,
            list(account.scopes),
            *seal_tokens(self._sealer, tokens, connection.workspace_id, f"pending_grant/{held_id}"),
            lifetime_of(tokens),
            return_url,
            lifetime,
        )
        await held.record("broker", f"grant.held.{reason}")

    async def store_unclaimed(
        self,
        app: App,
        tokens: Tokens,
        account: Account,
        code: Secret,
        lifetime: timedelta,
        return_url: str,
    ) -> None:
        """Keep a Marketplace install until a user of the app claims it."""
        connection_id = uuid4()
        async with self._database.transaction() as session:
            await session.execute(
                sql.begin_connection,
                app.workspace_id,
                connection_id,
                app.id,
                None,
                Status.UNCLAIMED.value,
            )
            row = await session.fetchrow(sql.lock_connection, app.workspace_id, connection_id)
            await self.store(
                LockedConnection(session, self._sealer, row),
                "claim",
                tokens,
                account,
                code,
                lifetime,
                return_url,
            )

    @asynccontextmanager
    async def lock(
        self, workspace_id: UUID, code: Secret, *, claim: bool
    ) -> AsyncIterator["LockedPendingGrant"]:
        """Lock what a code stands for.

        Raises NotFound, LinkUsed when its grant has found its connection, LinkExpired when the
        code came too late.
        """
        async with self._database.transaction() as session:
            row = await session.fetchrow(sql.lock_pending_grant, workspace_id, hash_of(code), claim)
            if row is None:
                raise NotFound(UNKNOWN_CODE)
            if row["used_at"] is not None:
                raise LinkUsed
            if row["lapsed"]:
                raise LinkExpired
            place = f"pending_grant/{row['held_id']}"
            refresh = row["refresh_token"]
            tokens = Tokens(
                self._sealer.open(row["access_token"], Place(workspace_id, place, "access_token")),
                refresh and self._sealer.open(refresh, Place(workspace_id, place, "refresh_token")),
                max(0.0, row["expires_in"]),
            )
            account = Account(
                row["hub_id"], row["hub_domain"], row["installed_by"], tuple(row["granted"])
            )
            grant = PendingGrant(
                row["held_id"],
                read_app(self._sealer, row),
                row["connection_id"],
                row["user_ref"],
                row["reason"],
                tokens,
                account,
                row["return_url"],
            )
            yield LockedPendingGrant(session, self._sealer, grant)

    async def expire_unclaimed(self) -> None:
        """Give back to HubSpot what nobody confirmed or claimed in time."""
        for row in await self._database.fetch(sql.expired_pending_grants, 100):
            async with self._database.transaction() as session:
                await session.execute(sql.delete_pending_grant, row["workspace_id"], row["id"])
                await session.execute(
                    sql.delete_unfinished_connection, row["workspace_id"], row["connection_id"]
                )
        await self._database.execute(sql.purge_used_pending_grants)


@dataclass(frozen=True, slots=True)
class LockedPendingGrant:
    """A locked held grant."""

    session: Session
    _sealer: Sealer
    grant: PendingGrant

    async def connection(self, connection_id: UUID | None = None) -> LockedConnection:
        """Lock the connection that the grant waits for, or another, in the same transaction."""
        row = await self.session.fetchrow(
            sql.lock_connection,
            self.grant.app.workspace_id,
            connection_id or self.grant.connection_id,
        )
        if row is None:
            raise NotFound
        return LockedConnection(self.session, self._sealer, row)

    async def use(self) -> None:
        """The grant has become a connection's: spend the code and wipe the tokens here."""
        await self.session.execute(
            sql.use_pending_grant, self.grant.app.workspace_id, self.grant.id
        )

    async def delete(self) -> None:
        """Nobody may have this grant: HubSpot is told, and what waited for it is gone."""
        workspace_id = self.grant.app.workspace_id
        await self.session.execute(sql.delete_pending_grant, workspace_id, self.grant.id)
        await self.session.execute(
            sql.delete_unfinished_connection, workspace_id, self.grant.connection_id
        )


def hash_of(handle: Secret) -> bytes:
    """What is stored for a random handle."""
    return hashlib.sha256(handle.reveal().encode("utf-8", "surrogatepass")).digest()


def _verifier_place(workspace_id: UUID, hashed: bytes) -> Place:
    return Place(workspace_id, f"install_link/{hashed.hex()}", "verifier")
