"""A vendor's tokens and limits, shared by all replicas."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from broker.domain.model import Secret
from broker.sealing import Place, Sealer
from broker.stores.core.database import Database
from broker.stores.core.queries import sql

MINUTE = timedelta(seconds=61)
"""A vendor's minute, with room for calls that do not take the same time to arrive."""


@dataclass(frozen=True, slots=True)
class VendorAccount:
    """A client of a vendor's API, with how many calls it may make in a minute."""

    workspace_id: UUID
    vendor: str
    client_id: str
    client_secret: Secret
    calls_a_minute: int = 120
    tokens_a_minute: int = 30

    def limit(self, kind: str) -> int:
        return self.tokens_a_minute if kind == "token" else self.calls_a_minute


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token with the sealed form that tells it from a later one."""

    token: Secret
    sealed: bytes
    expires_in: float


class VendorClients:
    """What is known of vendors' clients."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def token(self, account: VendorAccount) -> StoredToken | None:
        """The token that the account's present secret gave last."""
        row = await self._database.fetchrow(
            sql.vendor_token, *_key(account), _fingerprint(account.client_secret)
        )
        if row is None:
            return None
        token = self._sealer.open(row["access_token"], _place(account))
        return StoredToken(token, row["access_token"], row["expires_in"])

    async def lock_token(self, account: VendorAccount, patience: timedelta) -> bool:
        """Whether to ask for a token; False while somebody else does, or when one came."""
        mine = _fingerprint(account.client_secret)
        won = await self._database.fetchval(sql.lock_vendor_token, *_key(account), patience, mine)
        return won is not None

    async def store_token(self, account: VendorAccount, token: Secret, lifetime_s: float) -> None:
        """Keep a fresh token for everybody."""
        await self._database.execute(
            sql.store_vendor_token,
            *_key(account),
            self._sealer.seal(token, _place(account)),
            timedelta(seconds=lifetime_s),
            _fingerprint(account.client_secret),
        )

    async def unlock_token(self, account: VendorAccount) -> None:
        """No token came."""
        await self._database.execute(sql.unlock_vendor_token, *_key(account))

    async def delete_token(self, account: VendorAccount, dead: StoredToken) -> None:
        """A token died before its time; a later one stays."""
        await self._database.execute(sql.delete_vendor_token, *_key(account), dead.sealed)

    async def reserve_slot(self, account: VendorAccount, kind: str) -> tuple[float, float]:
        """Take the next place within a limit; when it is, and what time it is for the database."""
        row = await self._database.fetchrow(
            sql.reserve_vendor_slot, *_key(account), kind, account.limit(kind), MINUTE
        )
        assert row is not None  # noqa: S101  # the statement writes a row or fails
        return row["place"], row["now"]

    async def paused_until(self, account: VendorAccount, kind: str) -> tuple[float, float]:
        """Until when the vendor wants no call, and what time it is for the database."""
        row = await self._database.fetchrow(sql.vendor_paused_until, *_key(account), kind)
        assert row is not None  # noqa: S101  # a select without a table gives a row
        return row["paused_until"] or 0.0, row["now"]

    async def pause(self, account: VendorAccount, kind: str, seconds: float) -> None:
        """The vendor said to wait."""
        await self._database.execute(
            sql.pause_vendor, *_key(account), kind, timedelta(seconds=seconds)
        )


def _key(account: VendorAccount) -> tuple[UUID, str, str]:
    return account.workspace_id, account.vendor, account.client_id


def _place(account: VendorAccount) -> Place:
    row = f"vendor_client/{account.vendor}/{account.client_id}"
    return Place(account.workspace_id, row, "access_token")


def _fingerprint(secret: Secret) -> bytes:
    return hashlib.sha256(secret.reveal().encode()).digest()[:16]
