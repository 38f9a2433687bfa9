"""A locked connection: the one way to write one, with its tokens sealed for their row."""

import json
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from broker.domain.end_notices import first_notice, notice_of
from broker.domain.events import NewEvent
from broker.domain.grants import Account, Tokens
from broker.domain.invalidation import Invalidation
from broker.domain.model import Connection, Grant, ProviderClient, Secret, Status
from broker.errors import Busy
from broker.sealing import Place, Sealer
from broker.stores.access.audit import record_audit
from broker.stores.connections.apps import flag_credentials, read_client
from broker.stores.connections.connection_rows import read_connection
from broker.stores.connections.sealed_tokens import (
    ends_of,
    lifetime_of,
    renewal_after,
    seal_tokens,
)
from broker.stores.core.database import Session
from broker.stores.core.invalidation import notify
from broker.stores.core.queries import sql
from broker.stores.events.events import publish

ROTATION_LOST = "rotation-lost"
"""Why a grant ended whose renewal had a response that never arrived: it held the next token."""


async def lock_row(session: Session, workspace_id: UUID, connection_id: UUID) -> Any:
    """Lock a connection; its row, or None when it is gone."""
    if await session.fetchval(sql.lock_connection, workspace_id, connection_id) is None:
        return None
    return await session.fetchrow(sql.locked_connection, workspace_id, connection_id)


@dataclass(frozen=True, slots=True)
class LockedConnection:
    """A locked connection: the one way to write it, when its block ends well."""

    session: Session
    _sealer: Sealer
    _row: Any

    @property
    def connection(self) -> Connection:
        return read_connection(self._sealer, self._row)

    @property
    def client(self) -> ProviderClient:
        """What the app presents itself with at its provider."""
        return read_client(self._sealer, self._row)

    @property
    def refresh_token(self) -> Secret | None:
        sealed = self._row["refresh_token"]
        return None if sealed is None else self._sealer.open(sealed, self._place("refresh_token"))

    @property
    def failures(self) -> int:
        """Renewals that failed since the last good one."""
        return int(self._row["failures"])

    @property
    def seconds_since_failure(self) -> float:
        """Seconds since a renewal failed last; infinite when none ever did."""
        seconds = self._row["failed_ago"]
        return math.inf if seconds is None else float(seconds)

    def still_needs(self, generation: int) -> bool:
        """Whether the tokens that replace this generation are still to be stored.

        So they are when another process ended the grant only because their response seemed lost.
        """
        if self._row["generation"] != generation:
            return False
        ended = self._row["status"] == Status.REAUTH_REQUIRED
        return self._row["access_token"] is not None or (
            ended and self._row["last_error"] == ROTATION_LOST
        )

    async def connect(self, user_ref: str, tokens: Tokens, account: Account, actor: str) -> None:
        """Give the connection a grant and an account, and make it ACTIVE."""
        try:
            await self.session.execute(
                sql.connect_connection,
                *self._key,
                user_ref,
                account.account_id,
                account.account_name,
                account.hub_id,
                account.user,
                list(account.scopes),
                tokens.api_url,
                json.dumps(dict(tokens.details or {})),
            )
        except asyncpg.UniqueViolationError as error:
            raise Busy("The user is being connected by another request.") from error
        sealed, ends = self._sealed(tokens), ends_of(tokens)
        await self.session.execute(sql.store_grant, *self._key, *sealed, lifetime_of(tokens), *ends)
        await self._plan(tokens, self._after(first_notice(tokens)))
        await self.session.execute(sql.delete_pending_grants, *self._key)
        polled = self._row["workspace_id"], self._row["app_id"], self._row["slug"], user_ref
        await self.session.execute(sql.wake_polls_of_user, *polled)
        of_account = self._row["workspace_id"], self._row["app_id"], account.account_id
        await self.session.execute(sql.wake_subscriptions_of_account, *of_account)
        await self.publish(
            "connection.created",
            user_ref=user_ref,
            hub_id=account.hub_id,
            accountId=account.account_id,
            accountName=account.account_name,
            hubDomain=account.account_name if account.hub_id is not None else None,
            reconnected=self._row["generation"] > 0,
        )
        await self._invalidate(user_ref)
        await self.record(actor, "connection.connected", user_ref)

    async def replace_grant(self, tokens: Tokens) -> Grant:
        """Store a renewed grant; the refresh token stays when none came."""
        lifetime = lifetime_of(tokens)
        noticed = self._row["end_notice_at"]
        notice_at = self._after(first_notice(tokens)) or noticed
        if noticed is not None and noticed <= self._row["now"]:
            notice_at = noticed  # it is due, and is not skipped
        ends = [self._after(left) for left in ends_of(tokens)]
        await self.session.execute(
            sql.replace_grant, *self._key, *self._sealed(tokens), lifetime, *ends
        )
        await self._plan(tokens, notice_at)
        if (
            self._row["status"] != Status.ACTIVE
            or tokens.api_url is not None
            or tokens.details is not None
        ):
            details = None if tokens.details is None else json.dumps(dict(tokens.details))
            await self.session.execute(sql.revise_connection, *self._key, tokens.api_url, details)
        if self.failures or self._row["access_token"] is None:
            await self.publish("connection.renewed_after_failure", failures=self.failures)
        expires_at = time.monotonic() + lifetime.total_seconds()
        margin = min(30.0, 0.1 * lifetime.total_seconds())
        generation = self._row["generation"] + 1
        return Grant(
            tokens.access_token,
            expires_at - margin,
            expires_at,
            generation,
            just_issued=True,
            api_url=tokens.api_url or self._row["api_url"],
        )

    async def end_grant(self, why: str) -> None:
        """The provider ended the grant: wipe it; only another install helps."""
        await self.session.execute(sql.end_connection, *self._key)
        await self.session.execute(sql.end_grant, *self._key, why)
        await self.session.execute(sql.plan_renewal, *self._key, None, None)
        await self.publish("connection.reauth_required", reason=why)
        await self._invalidate()
        await self.record("broker", "connection.reauth_required", detail=why)

    async def notify_of_end(self) -> bool:
        """Publish that the grant ends soon, where a notice is due, and plan the next; whether one
        was due.
        """
        row = await self.session.fetchrow(sql.ends_of_connection, *self._key)
        if row is None:
            return False
        notice = notice_of(row["now"], row["refresh_expires_at"], row["grant_ends_at"])
        if notice.ends_at is not None:
            expires_at = f"{notice.ends_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            await self.publish("connection.expires_soon", expiresAt=expires_at, why=notice.why)
        await self.session.execute(sql.plan_end_notice, *self._key, notice.next_at)
        return True

    async def postpone_renewal(self, why: str, seconds: float) -> None:
        await self.session.execute(sql.note_failure, *self._key, why)
        await self._reschedule(seconds, always=True)

    async def reschedule(self, seconds: float) -> None:
        """Have the renewal tried later; it did not fail."""
        await self._reschedule(seconds, always=False)

    async def clear_renewal_attempt(self) -> None:
        """The provider answered: no tokens were lost on the way."""
        await self.session.execute(sql.clear_renewal_attempt, *self._key)

    async def flag_credentials(self) -> None:
        """The provider refuses the app's client id and secret."""
        await flag_credentials(self.session, self._row["workspace_id"], self._row["app_id"])

    async def unflag_credentials(self) -> None:
        """The provider accepts the app's client id and secret (again)."""
        if self._row["credentials_refused_at"] is not None:
            await self.session.execute(
                sql.unflag_credentials, self._row["workspace_id"], self._row["app_id"]
            )

    async def enqueue_revocation(self) -> UUID | None:
        """Enqueue the revocation of the present grant; its id, if there is one."""
        revocation_id: UUID | None = await self.session.fetchval(
            sql.enqueue_revocation_of_connection, *self._key
        )
        return revocation_id

    async def delete(self, actor: str) -> UUID | None:
        """Wipe the connection; the id of the enqueued revocation, if any."""
        revocation_id = await self.enqueue_revocation()
        await self.session.execute(sql.delete_pending_grants, *self._key)
        await self.discard()
        if self._row["user_ref"] is not None:
            await self.publish("connection.deleted")
        await self._invalidate()
        await self.record(actor, "connection.deleted")
        return revocation_id

    async def discard(self) -> None:
        """Remove a connection whose grant has become another connection's."""
        await self.session.execute(sql.delete_answers_of_connection, *self._key)
        await self.session.execute(sql.delete_connection, *self._key)

    async def record(
        self, actor: str, action: str, user_ref: str | None = None, detail: str | None = None
    ) -> None:
        """Record in the audit log who did what to this connection."""
        await record_audit(
            self.session,
            self._row["workspace_id"],
            actor,
            action,
            self._row["slug"],
            user_ref or self._row["user_ref"],
            detail,
        )

    async def publish(
        self,
        type_: str,
        *,
        user_ref: str | None = None,
        hub_id: int | None = None,
        **data: Any,
    ) -> None:
        """Publish an event about this connection, as part of the transaction."""
        event = NewEvent(
            type_,
            self._row["slug"],
            user_ref or self._row["user_ref"],
            hub_id or self._row["hub_id"],
            data,
        )
        await publish(self.session, self._row["workspace_id"], self._row["app_id"], [event])

    async def _invalidate(self, user_ref: str | None = None) -> None:
        for user in {user_ref, self._row["user_ref"]} - {None}:
            change = Invalidation.connection(self._row["workspace_id"], self._row["slug"], user)
            await notify(self.session, change)

    async def _plan(self, tokens: Tokens, notice_at: datetime | None) -> None:
        await self.session.execute(sql.plan_renewal, *self._key, renewal_after(tokens), notice_at)

    async def _reschedule(self, seconds: float, *, always: bool) -> None:
        await self.session.execute(
            sql.reschedule_renewal, *self._key, timedelta(seconds=seconds), always
        )

    def _after(self, span: timedelta | None) -> datetime | None:
        """The moment, by Postgres' clock, so long after the connection was locked."""
        return None if span is None else self._row["now"] + span

    @property
    def _key(self) -> tuple[UUID, UUID]:
        return self._row["workspace_id"], self._row["id"]

    def _place(self, column: str) -> Place:
        return Place(self._row["workspace_id"], f"connection/{self._row['id']}", column)

    def _sealed(self, tokens: Tokens) -> tuple[bytes, bytes | None, bytes | None]:
        return seal_tokens(self._sealer, tokens, self._row["workspace_id"], self._place("").row)
