"""A locked connection: the one way to write one, with its tokens sealed for their row."""

import hashlib
import math
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from broker.domain.events import NewEvent
from broker.domain.invalidation import Invalidation
from broker.domain.model import Account, Connection, Grant, Secret, Status, Tokens
from broker.errors import Busy
from broker.sealing import Place, Sealer
from broker.stores.access.audit import record_audit
from broker.stores.access.policies import read_policy
from broker.stores.connections.apps import flag_credentials, secret_place
from broker.stores.core.database import Session
from broker.stores.core.invalidation import notify
from broker.stores.core.queries import sql
from broker.stores.events.events import publish

ROTATION_LOST = "rotation-lost"
"""Why a grant ended whose last renewal was never heard of: HubSpot's answer had the next token."""

FOREVER = timedelta(days=36_500)
"""The lifetime of a token that never runs out."""


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
    def client_id(self) -> str:
        return str(self._row["client_id"])

    @property
    def client_secret(self) -> Secret:
        place = secret_place(self._row["workspace_id"], self._row["app_id"])
        return self._sealer.open(self._row["client_secret"], place)

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
        """Whether the connection still waits for what HubSpot gave for this generation.

        So it does when somebody else ended it only because that answer seemed lost.
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
                sql.grant_connection,
                *self._key,
                user_ref,
                account.hub_id,
                account.hub_domain,
                account.user,
                list(account.scopes),
                *self._sealed(tokens),
                lifetime_of(tokens),
                renewal_after(tokens),
            )
            await self.clear_renewal_attempt()
        except asyncpg.UniqueViolationError as error:
            raise Busy("The user is being connected by somebody else just now.") from error
        await self.session.execute(sql.delete_pending_grants, *self._key)
        await self.publish(
            "connection.created",
            user_ref=user_ref,
            hub_id=account.hub_id,
            hubDomain=account.hub_domain,
            reconnected=self._row["generation"] > 0,
        )
        await self._invalidate(user_ref)
        await self.record(actor, "connection.connected", user_ref)

    async def replace_grant(self, tokens: Tokens) -> Grant:
        """Store a renewed grant; the refresh token stays when none came."""
        lifetime = lifetime_of(tokens)
        await self.session.execute(
            sql.replace_grant, *self._key, *self._sealed(tokens), lifetime, renewal_after(tokens)
        )
        await self.clear_renewal_attempt()
        if self.failures or self._row["access_token"] is None:
            await self.publish("connection.renewed_after_failure", failures=self.failures)
        expires_at = time.monotonic() + lifetime.total_seconds()
        margin = min(30.0, 0.1 * lifetime.total_seconds())
        generation = self._row["generation"] + 1
        return Grant(tokens.access_token, expires_at - margin, expires_at, generation)

    async def end_grant(self, why: str) -> None:
        """HubSpot ended the grant: wipe it; only an install helps."""
        await self.session.execute(sql.end_grant, *self._key, why)
        await self.clear_renewal_attempt()
        await self.publish("connection.reauth_required", reason=why)
        await self._invalidate()
        await self.record("broker", "connection.reauth_required", detail=why)

    async def postpone_renewal(self, why: str, seconds: float) -> None:
        await self.session.execute(
            sql.postpone_renewal, *self._key, why, timedelta(seconds=seconds)
        )

    async def reschedule(self, seconds: float) -> None:
        """Have the renewal tried later; it did not fail."""
        await self.session.execute(sql.reschedule_renewal, *self._key, timedelta(seconds=seconds))

    async def clear_renewal_attempt(self) -> None:
        """HubSpot answered: nothing that it may have given was lost."""
        await self.session.execute(sql.clear_renewal_attempt, *self._key)

    async def flag_credentials(self) -> None:
        """HubSpot refuses the app's client id and secret."""
        await flag_credentials(self.session, self._row["workspace_id"], self._row["app_id"])

    async def unflag_credentials(self) -> None:
        """HubSpot takes the app's client id and secret, whatever it said before."""
        if self._row["credentials_refused_at"] is not None:
            await self.session.execute(
                sql.unflag_credentials, self._row["workspace_id"], self._row["app_id"]
            )

    async def enqueue_revocation(self) -> UUID | None:
        """HubSpot must be told to revoke the present grant; the revocation's id, if any."""
        owed: UUID | None = await self.session.fetchval(
            sql.enqueue_revocation_of_connection, *self._key
        )
        return owed

    async def delete(self, actor: str) -> UUID | None:
        """Wipe the connection; the id of the revocation that is owed, if any."""
        owed = await self.enqueue_revocation()
        await self.session.execute(sql.delete_pending_grants, *self._key)
        await self.discard()
        if self._row["user_ref"] is not None:
            await self.publish("connection.deleted")
        await self._invalidate()
        await self.record(actor, "connection.deleted")
        return owed

    async def discard(self) -> None:
        """Remove a connection whose grant has become another connection's."""
        await self.clear_renewal_attempt()
        await self.session.execute(sql.delete_answers_of_connection, *self._key)
        await self.session.execute(sql.delete_connection, *self._key)

    async def record(
        self, actor: str, action: str, user_ref: str | None = None, detail: str | None = None
    ) -> None:
        """Record who did what to this connection."""
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
        """Owe the app's endpoints what happens to this connection, if it does."""
        fact = NewEvent(
            type_,
            self._row["slug"],
            user_ref or self._row["user_ref"],
            hub_id or self._row["hub_id"],
            data,
        )
        await publish(self.session, self._row["workspace_id"], self._row["app_id"], [fact])

    async def _invalidate(self, user_ref: str | None = None) -> None:
        for user in {user_ref, self._row["user_ref"]} - {None}:
            change = Invalidation.connection(self._row["workspace_id"], self._row["slug"], user)
            await notify(self.session, change)

    @property
    def _key(self) -> tuple[UUID, UUID]:
        return self._row["workspace_id"], self._row["id"]

    def _place(self, column: str) -> Place:
        return Place(self._row["workspace_id"], f"connection/{self._row['id']}", column)

    def _sealed(self, tokens: Tokens) -> tuple[bytes, bytes | None, bytes | None]:
        return seal_tokens(self._sealer, tokens, self._row["workspace_id"], self._place("").row)


def seal_tokens(
    sealer: Sealer, tokens: Tokens, workspace_id: UUID, row: str
) -> tuple[bytes, bytes | None, bytes | None]:
    """Sealed access token, sealed refresh token and its fingerprint, for a row."""
    access = sealer.seal(tokens.access_token, Place(workspace_id, row, "access_token"))
    if tokens.refresh_token is None:
        return access, None, None
    refresh = sealer.seal(tokens.refresh_token, Place(workspace_id, row, "refresh_token"))
    return access, refresh, fingerprint_of(tokens.refresh_token)


def fingerprint_of(refresh_token: Secret) -> bytes:
    """Tells equal refresh tokens apart from others without holding them."""
    return hashlib.sha256(b"refresh token\0" + refresh_token.reveal().encode()).digest()


def lifetime_of(tokens: Tokens) -> timedelta:
    return FOREVER if tokens.lifetime is None else timedelta(seconds=tokens.lifetime)


def renewal_after(tokens: Tokens) -> timedelta | None:
    """When to renew: at 75 to 85 % of the life, so that grants made together renew apart."""
    if tokens.lifetime is None:
        return None
    return timedelta(seconds=tokens.lifetime * random.uniform(0.75, 0.85))  # noqa: S311


def read_connection(sealer: Sealer, row: Any) -> Connection:
    """A row of the hot read, or of a hold, as a Connection with its opened grant."""
    grant = None
    if row["access_token"] is not None:
        place = Place(row["workspace_id"], f"connection/{row['id']}", "access_token")
        now, left = time.monotonic(), row["expires_in"]
        expires_at = math.inf if left is None else now + left
        grant = Grant(
            sealer.open(row["access_token"], place),
            stale_at=expires_at - (row["margin"] or 0),
            expires_at=expires_at,
            generation=row["generation"],
        )
    return Connection(
        id=row["id"],
        workspace_id=row["workspace_id"],
        app_id=row["app_id"],
        app_slug=row["slug"],
        user_ref=row["user_ref"],
        status=Status(row["status"]),
        hub_id=row["hub_id"],
        grant=grant,
        policy=read_policy(row["policy"]),
        scopes=tuple(row["scopes"]),
    )
