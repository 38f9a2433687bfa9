"""Grants that are pending until their code is presented."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from broker.domain.grants import Account, PendingGrant, Tokens, tokens_for
from broker.domain.model import App, Secret, Status
from broker.errors import LinkExpired, LinkUsed, NotFound
from broker.sealing import Place, Sealer
from broker.stores.connections.apps import read_app
from broker.stores.connections.handles import hash_of
from broker.stores.connections.locked_connection import LockedConnection, lock_row
from broker.stores.connections.new_connection import begin_connection
from broker.stores.connections.sealed_tokens import (
    ends_of,
    lifetime_left,
    lifetime_of,
    seal_tokens,
    span,
)
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql

UNKNOWN_CODE = "Unknown or superseded code; create a new link."


class PendingGrants:
    """Grants that are not used until their code is presented with an API key."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def store(
        self,
        locked: LockedConnection,
        reason: str,
        tokens: Tokens,
        account: Account,
        code: Secret,
        lifetime: timedelta,
        return_url: str | None = None,
        *,
        choices: Sequence[Account] = (),
        session_id: UUID | None = None,
    ) -> None:
        """Keep a grant for a locked connection, in its transaction; earlier ones are deleted.
        `choices` are the accounts of which one is still to be chosen.
        """
        connection, grant_id = locked.connection, uuid4()
        await locked.session.execute(
            sql.delete_pending_grants, connection.workspace_id, connection.id
        )
        await locked.session.execute(
            sql.insert_pending_grant,
            connection.workspace_id,
            grant_id,
            hash_of(code),
            connection.app_id,
            connection.id,
            reason,
            account.account_id,
            account.account_name,
            account.hub_id,
            account.user,
            list(account.scopes),
            *seal_tokens(
                self._sealer, tokens, connection.workspace_id, f"pending_grant/{grant_id}"
            ),
            lifetime_of(tokens),
            span(tokens.renew_in),
            *ends_of(tokens),
            tokens.api_url,
            json.dumps(dict(tokens.details or {})),
            return_url,
            lifetime,
            write_accounts(choices) if choices else None,
            session_id,
        )
        await locked.record("broker", f"grant.pending.{reason}")

    async def store_unclaimed(
        self,
        app: App,
        tokens: Tokens,
        account: Account,
        code: Secret,
        lifetime: timedelta,
        return_url: str,
    ) -> None:
        """Keep a Marketplace install until it is claimed for a user of the app."""
        connection_id = uuid4()
        async with self._database.transaction() as session:
            await begin_connection(session, app, connection_id, None, Status.UNCLAIMED)
            row = await lock_row(session, app.workspace_id, connection_id)
            await self.store(
                LockedConnection(session, self._sealer, row),
                "claim",
                tokens,
                account,
                code,
                lifetime,
                return_url,
            )

    async def find(self, workspace_id: UUID, code: Secret, *, claim: bool) -> PendingGrant:
        """What a code stands for; looking uses nothing up.

        Raises NotFound, LinkUsed when its grant has become a connection's, LinkExpired when the
        code came too late.
        """
        row = await self._database.fetchrow(
            sql.find_pending_grant, workspace_id, hash_of(code), claim
        )
        return self._grant(row)

    @asynccontextmanager
    async def lock(
        self, workspace_id: UUID, code: Secret, user_ref: str, *, claim: bool
    ) -> AsyncIterator["LockedPendingGrant"]:
        """Lock what a code stands for, with the connections that it may become: its own, and, of a
        claim, the user's. Raises as `find`.

        Connections first, in the order of their ids, then the grant: everything else that locks
        both does so in this order.
        """
        async with self._lock(workspace_id, hash_of(code), user_ref, claim=claim) as locked:
            yield locked

    @asynccontextmanager
    async def lock_unchosen(self, app: App, user_ref: str) -> AsyncIterator["LockedPendingGrant"]:
        """Lock the grant for which a user's account is still to be chosen. Raises NotFound."""
        row = await self._unchosen(app, user_ref)
        if row is None:
            raise NotFound("There is no account to choose for this user.")
        async with self._lock(app.workspace_id, row["code_hash"], user_ref, claim=False) as locked:
            yield locked

    async def choices(self, app: App, user_ref: str) -> tuple[Account, ...] | None:
        """The accounts of which a user's is still to be chosen; None where none is."""
        row = await self._unchosen(app, user_ref)
        return None if row is None else read_accounts(row["accounts"], ())

    async def _unchosen(self, app: App, user_ref: str) -> Any:
        return await self._database.fetchrow(sql.unchosen_grant, app.workspace_id, app.id, user_ref)

    @asynccontextmanager
    async def _lock(
        self, workspace_id: UUID, code_hash: bytes, user_ref: str, *, claim: bool
    ) -> AsyncIterator["LockedPendingGrant"]:
        async with self._database.transaction() as session:
            await session.execute(sql.limit_idle_transaction)
            key = workspace_id, code_hash, claim
            found = self._grant(await session.fetchrow(sql.find_pending_grant, *key))
            ids = {found.connection_id}
            if claim:
                present = await session.fetchval(
                    sql.id_of_user, workspace_id, found.app.id, user_ref
                )
                ids |= {present} if present is not None else set()
            connections = {}
            for connection_id in sorted(ids):
                row = await lock_row(session, workspace_id, connection_id)
                if row is not None:
                    connections[connection_id] = LockedConnection(session, self._sealer, row)
            grant = self._grant(await session.fetchrow(sql.lock_pending_grant, *key))
            if grant.connection_id not in connections:
                raise NotFound(UNKNOWN_CODE)
            yield LockedPendingGrant(session, grant, connections)

    def _grant(self, row: Any) -> PendingGrant:
        if row is None:
            raise NotFound(UNKNOWN_CODE)
        if row["used_at"] is not None:
            raise LinkUsed
        if row["expired"]:
            raise LinkExpired
        workspace_id, place = row["workspace_id"], f"pending_grant/{row['grant_id']}"
        refresh = row["refresh_token"]
        tokens = Tokens(
            self._sealer.open(row["access_token"], Place(workspace_id, place, "access_token")),
            refresh and self._sealer.open(refresh, Place(workspace_id, place, "refresh_token")),
            lifetime_left(row["expires_in"]),
            api_url=row["api_url"],
            details=json.loads(row["details"]),
            renew_in=row["renew_in"],
            refresh_expires_in=row["refresh_expires_in"],
            ends_in=row["ends_in"],
        )
        account = Account(
            row["account_id"],
            row["account_name"],
            row["installed_by"],
            tuple(row["granted"]),
            row["hub_id"],
        )
        return PendingGrant(
            row["grant_id"],
            read_app(self._sealer, row),
            row["connection_id"],
            row["user_ref"],
            row["reason"],
            tokens,
            account,
            row["return_url"],
            row["code_expires_at"],
            read_accounts(row["accounts"], account.scopes),
            row["session_id"],
        )

    async def expire_unclaimed(self) -> None:
        """Revoke the grants that were not confirmed or claimed in time."""
        for row in await self._database.fetch(sql.expired_pending_grants, 100):
            connection = row["workspace_id"], row["connection_id"]
            async with self._database.transaction() as session:
                await session.execute(sql.lock_connection, *connection)
                await session.execute(sql.delete_pending_grant, row["workspace_id"], row["id"])
                await session.execute(sql.delete_unfinished_connection, *connection)
        await self._database.purge(sql.purge_used_pending_grants)


@dataclass(frozen=True, slots=True)
class LockedPendingGrant:
    """A locked pending grant."""

    session: Session
    grant: PendingGrant
    _connections: Mapping[UUID, LockedConnection]

    @property
    def connection(self) -> LockedConnection:
        """The connection that the grant waits for."""
        return self._connections[self.grant.connection_id]

    @property
    def present(self) -> LockedConnection | None:
        """The other connection, which the user of a claim has already, if any."""
        others = (
            connection
            for connection_id, connection in self._connections.items()
            if connection_id != self.grant.connection_id
        )
        return next(others, None)

    async def use(self) -> None:
        """The grant has become a connection's: spend the code and wipe the tokens here."""
        await self.session.execute(
            sql.use_pending_grant, self.grant.app.workspace_id, self.grant.id
        )

    async def choose(self, account: Account, reason: str) -> None:
        """The grant is for this account, and waits for something else now."""
        await self.session.execute(
            sql.choose_account,
            self.grant.app.workspace_id,
            self.grant.id,
            account.account_id,
            account.account_name,
            json.dumps(dict(tokens_for(self.grant.tokens, account).details or {})),
            reason,
        )

    async def delete(self) -> None:
        """Revoke this grant, and delete the connection that waited for it."""
        workspace_id = self.grant.app.workspace_id
        await self.session.execute(sql.delete_pending_grant, workspace_id, self.grant.id)
        await self.session.execute(
            sql.delete_unfinished_connection, workspace_id, self.grant.connection_id
        )


def write_accounts(accounts: Sequence[Account]) -> str:
    """Accounts to choose from, as they are stored."""
    return json.dumps(
        [
            {"id": each.account_id, "name": each.account_name, "details": dict(each.details)}
            for each in accounts
        ]
    )


def read_accounts(stored: str | None, scopes: tuple[str, ...]) -> tuple[Account, ...]:
    """What `write_accounts` wrote; a grant's scopes are the same for all its accounts."""
    return tuple(
        Account(each["id"], each["name"], None, scopes, details=each["details"])
        for each in json.loads(stored or "[]")
    )
