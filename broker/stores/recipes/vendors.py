"""Tokens, limits and accounts of vendors' clients, shared by all replicas."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from broker.domain.model import Secret
from broker.domain.vendors import VendorAccount
from broker.sealing import Place, Sealer
from broker.stores.core.database import Database
from broker.stores.core.queries import sql

MINUTE_S = 61.0
"""A vendor's minute, with room for calls that do not take the same time to arrive."""

BURST_PART = 5
"""Which part of a minute's calls may come at once."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token with the sealed form that tells it from a later one; seconds until it expires."""

    token: Secret
    sealed: bytes
    expires_in: float


@dataclass(frozen=True, slots=True)
class ServedAccount:
    """The HubSpot account that a vendor's client serves; for a while only, until confirmed."""

    hub_id: int
    confirmed: bool


class VendorClients:
    """Vendors' clients, by workspace, vendor and client id."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def token(self, account: VendorAccount) -> StoredToken | None:
        """The last token that was issued for the account's present secret."""
        row = await self._database.fetchrow(
            sql.vendor_token, *_key(account), _fingerprint(account.client_secret)
        )
        if row is None:
            return None
        token = self._sealer.open(row["access_token"], _place(account))
        return StoredToken(token, row["access_token"], row["expires_in"])

    async def lock_token(self, account: VendorAccount, lease: timedelta) -> bool:
        """Whether this process should ask for a token; False while another does, or when one is
        stored by now.
        """
        secret_hash = _fingerprint(account.client_secret)
        won = await self._database.fetchval(
            sql.lock_vendor_token, *_key(account), lease, secret_hash
        )
        return won is not None

    async def store_token(self, account: VendorAccount, token: Secret, lifetime_s: float) -> None:
        """Store a fresh token for all replicas."""
        await self._database.execute(
            sql.store_vendor_token,
            *_key(account),
            self._sealer.seal(token, _place(account)),
            timedelta(seconds=lifetime_s),
            _fingerprint(account.client_secret),
        )

    async def unlock_token(self, account: VendorAccount) -> None:
        """No token was issued; another process may ask."""
        await self._database.execute(sql.unlock_vendor_token, *_key(account))

    async def delete_token(self, account: VendorAccount, dead: StoredToken) -> None:
        """A token died before its time; a later one stays."""
        await self._database.execute(sql.delete_vendor_token, *_key(account), dead.sealed)

    async def reserve_slot(self, account: VendorAccount, kind: str) -> tuple[float, float]:
        """Reserve the next slot within a limit; when it is, and what time it is for the database.

        A fifth of a minute's calls may come at once, the rest evenly spaced: so no minute, wherever
        it begins, holds more than the limit.
        """
        limit = account.limit(kind)
        burst = max(1, limit // BURST_PART)
        spacing = MINUTE_S / (limit - burst + 1)
        key = *_key(account), kind
        times = timedelta(seconds=spacing), timedelta(seconds=spacing * (burst - 1))
        async with self._database.transaction() as session:
            row = await session.fetchrow(sql.lock_vendor_slot, *key, *times)
            if row is None:
                await session.execute(sql.insert_vendor_rate_limit, *key)
                row = await session.fetchrow(sql.lock_vendor_slot, *key, *times)
            assert row is not None  # noqa: S101  # it was inserted here or by another process
            await session.execute(sql.reserve_vendor_slot, *key, row["next_at"])
        return row["slot"], row["now"]

    async def paused_until(self, account: VendorAccount, kind: str) -> tuple[float, float]:
        """Until when the vendor takes no call, and what time it is for the database."""
        row = await self._database.fetchrow(sql.vendor_paused_until, *_key(account), kind)
        assert row is not None  # noqa: S101  # a select without a table gives a row
        return row["paused_until"] or 0.0, row["now"]

    async def pause(self, account: VendorAccount, kind: str, seconds: float) -> None:
        """Reserve no slot before the vendor's Retry-After has passed."""
        await self._database.execute(
            sql.pause_vendor, *_key(account), kind, timedelta(seconds=seconds)
        )

    async def reserve_account(
        self, account: VendorAccount, hub_id: int, lease: timedelta
    ) -> ServedAccount:
        """Reserve a client for a HubSpot account, in the whole installation; the account that has
        it, which is another when that came first. Only for who has proved to have the client.
        """
        row = await self._database.fetchrow(
            sql.reserve_vendor_account,
            account.vendor,
            account.client_id,
            account.workspace_id,
            hub_id,
            lease,
        )
        assert row is not None  # noqa: S101  # the statement writes a row or fails
        return ServedAccount(row["hub_id"], row["confirmed"])

    async def confirm_account(self, account: VendorAccount, hub_id: int) -> None:
        """The client serves this account for good."""
        await self._database.execute(
            sql.confirm_vendor_account, account.vendor, account.client_id, hub_id
        )

    async def served_account(self, workspace_id: UUID, vendor: str, client_id: str) -> int | None:
        """The account that a client serves for good, as far as this workspace may know: who has
        only a client's id learns nothing of another workspace's.
        """
        found: int | None = await self._database.fetchval(
            sql.account_of_vendor_client, vendor, client_id, workspace_id
        )
        return found


def _key(account: VendorAccount) -> tuple[UUID, str, str]:
    return account.workspace_id, account.vendor, account.client_id


def _place(account: VendorAccount) -> Place:
    row = f"vendor_client/{account.vendor}/{account.client_id}"
    return Place(account.workspace_id, row, "access_token")


def client_id_of(key: Secret) -> str:
    """What a client is known by where a vendor has nothing but a key: a part of the key's hash."""
    return _fingerprint(key).hex()


def _fingerprint(secret: Secret) -> bytes:
    return hashlib.sha256(secret.reveal().encode()).digest()[:16]
