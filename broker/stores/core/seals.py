"""Whether the sealing keys open what is here, and bringing everything under the newest."""

import logging
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from broker.domain.audit import SHELL
from broker.domain.model import Secret
from broker.errors import SealBroken
from broker.sealing import Place, Sealer, key_of
from broker.stores.access.audit import record_audit
from broker.stores.core.database import Database
from broker.stores.core.queries import sql

PROOF = "the broker's sealing key"
BATCH = 200
MAX_PASSES = 3
"""How often all values are gone through while others are written behind."""

log = logging.getLogger(__name__)


class WrongSealingKey(Exception):
    """The sealing keys do not open what is in the database."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """One sealed column: how to read its rows in batches, and how to write one."""

    row: str
    column: str
    read: str
    write: str


COLUMNS = (
    Sealed("app", "client_secret", sql.app_secrets, sql.reseal_app_secret),
    Sealed("app", "previous_client_secret", sql.previous_secrets, sql.reseal_previous_secret),
    Sealed("app", "webhook_secret", sql.app_webhook_secrets, sql.reseal_webhook_secret),
    Sealed(
        "app",
        "previous_webhook_secret",
        sql.previous_webhook_secrets,
        sql.reseal_previous_webhook_secret,
    ),
    Sealed("install_link", "verifier", sql.verifiers, sql.reseal_verifier),
    Sealed("install_link", "credentials", sql.link_credentials, sql.reseal_link_credentials),
    Sealed("connection", "access_token", sql.access_tokens, sql.reseal_access_token),
    Sealed("connection", "refresh_token", sql.refresh_tokens, sql.reseal_refresh_token),
    Sealed(
        "pending_grant", "access_token", sql.pending_access_tokens, sql.reseal_pending_access_token
    ),
    Sealed(
        "pending_grant",
        "refresh_token",
        sql.pending_refresh_tokens,
        sql.reseal_pending_refresh_token,
    ),
    Sealed("idempotent_call", "answer", sql.stored_responses, sql.reseal_stored_response),
    Sealed("revocation", "refresh_token", sql.revocation_tokens, sql.reseal_revocation_token),
    Sealed("endpoint", "secret", sql.endpoint_secrets, sql.reseal_endpoint_secret),
    Sealed(
        "endpoint",
        "previous_secret",
        sql.previous_endpoint_secrets,
        sql.reseal_previous_endpoint_secret,
    ),
    Sealed("recipe_setting", "secrets", sql.recipe_secrets, sql.reseal_recipe_secrets),
    Sealed("vendor_client", "access_token", sql.vendor_tokens, sql.reseal_vendor_token),
)


class Seals:
    """The installation's sealed values as a whole."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def check(self, *, running: bool = False) -> None:
        """Raise WrongSealingKey unless the keys open everything here; it never shows a key.

        A process that is `running` may lack a key that another one brought since: it can still
        serve what is sealed under its own keys, and that it lacks one is logged.
        """
        proof = self._sealer.seal(Secret(PROOF), _proof_place(self._sealer.newest))
        known = {
            row["key_id"]: row["proof"] for row in await self._database.fetch(sql.sealing_keys)
        }
        for key_id, stored in known.items():
            if not self._sealer.knows(key_id):
                if running:
                    self._sealer.report_missing(key_id)
                    continue
                raise WrongSealingKey(
                    f"values here are sealed with key {key_id}, which BROKER_SEALING_KEYS lacks"
                )
            try:
                self._sealer.open(stored, _proof_place(key_id))
            except SealBroken:
                raise WrongSealingKey(
                    f"BROKER_SEALING_KEYS has another key {key_id} than the one used here"
                ) from None
        if self._sealer.newest not in known:
            await self._database.execute(sql.insert_sealing_key, self._sealer.newest, proof)
            await self.check(running=running)

    async def reseal(self) -> int:
        """Bring every sealed value under the newest key; how many were.

        Can be stopped anywhere and started again. The other keys are forgotten once nothing is left
        under them; while another process goes on sealing with one they are not, and that is logged.
        """
        done: Counter[UUID] = Counter()
        try:
            for _ in range(MAX_PASSES):
                for sealed in COLUMNS:
                    done += await self.reseal_column(sealed)
                if await self._discard_others():
                    return done.total()
            log.warning("sealing_key_still_in_use")
            return done.total()
        finally:
            await self._record(done)

    async def _record(self, done: Counter[UUID]) -> None:
        """Write into the audit logs of the workspaces how many of their values were resealed."""
        for workspace_id, number in done.items():
            detail = f"{number} values under key {self._sealer.newest}"
            async with self._database.transaction() as session:
                await record_audit(session, workspace_id, SHELL, "secrets.resealed", detail=detail)

    async def _discard_others(self) -> bool:
        """Forget all keys but the newest, unless a value has been sealed with another meanwhile."""
        async with self._database.transaction() as session:
            for sealed in COLUMNS:
                if await session.fetchrow(sealed.read, self._sealer.newest, 1) is not None:
                    return False
            await session.execute(sql.delete_sealing_keys, self._sealer.newest)
        return True

    async def reseal_column(self, sealed: Sealed) -> Counter[UUID]:
        """Bring the values of one column under the newest key; how many were, by workspace."""
        done: Counter[UUID] = Counter()
        prefix = self._sealer.newest
        while rows := await self._database.fetch(sealed.read, prefix, BATCH):
            for row in rows:
                place = Place(row["workspace_id"], row["sealed_as"], sealed.column)
                opened = self._sealer.open(row["sealed"], place)
                if key_of(row["sealed"]) != prefix:
                    resealed = self._sealer.seal(opened, place)
                    done[row["workspace_id"]] += await self._database.execute(
                        sealed.write, row["workspace_id"], row["id"], row["sealed"], resealed
                    )
        return done


def _proof_place(key_id: str) -> Place:
    return Place(None, f"sealing_key/{key_id}", "proof")
