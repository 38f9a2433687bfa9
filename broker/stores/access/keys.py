"""Workspaces, API keys and the access tokens made from them."""

import hashlib
import hmac
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from broker.domain.model import KEY_SCOPES, Caller, Key, PolicyRule, Secret, Workspace
from broker.errors import NotFound
from broker.stores.access.audit import SHELL, record_audit
from broker.stores.access.locked_key import LockedKey, read_key
from broker.stores.access.policies import read_policy, write_policy
from broker.stores.core.by_workspace import grouped
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql

CLIENT_ID, SECRET, TOKEN = "bc_", "bs_", "bt_"
SESSION, OPERATOR = "cs_", "co_"
"""Prefixes of the broker's credentials; the id of the workspace to look in follows."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key with its secret, which is never shown again."""

    key: Key
    client_secret: Secret


class Keys:
    """Credentials by hash: what is stored cannot be used to call."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._used: dict[tuple[UUID, UUID], float] = {}

    async def create_workspace(
        self, name: str, *, actor: str = SHELL
    ) -> tuple[Workspace, IssuedKey]:
        """A new workspace with its first key, which may do everything: both or neither."""
        async with self._database.transaction() as session:
            row = await session.fetchrow(sql.create_workspace, uuid4(), name)
            workspace = _workspace(row)
            issued = await _insert(session, workspace.id, "first", tuple(KEY_SCOPES), None, None)
            await record_audit(
                session, workspace.id, actor, "workspace.created", detail=issued.key.client_id
            )
        return workspace, issued

    async def workspaces(self) -> list[Workspace]:
        """Every workspace of the installation, oldest first."""
        return [_workspace(row) for row in await self._database.fetch(sql.all_workspaces)]

    async def find_workspace(self, workspace_id: UUID) -> Workspace | None:
        row = await self._database.fetchrow(sql.workspace_of_id, workspace_id)
        return None if row is None else _workspace(row)

    async def get_workspace(self, workspace_id: UUID) -> Workspace:
        """A workspace. Raises NotFound."""
        found = await self.find_workspace(workspace_id)
        if found is None:
            raise NotFound("There is no such workspace.")
        return found

    async def create(
        self,
        workspace_id: UUID,
        name: str,
        scopes: tuple[str, ...],
        app_slugs: tuple[str, ...] | None,
        policy: tuple[PolicyRule, ...] | None = None,
        *,
        actor: str = SHELL,
    ) -> IssuedKey:
        """A new key; a policy narrows what it may call through the proxy.

        Raises NotFound when there is no such workspace.
        """
        async with self._database.transaction() as session:
            if await session.fetchrow(sql.workspace_of_id, workspace_id) is None:
                raise NotFound("There is no such workspace.")
            issued = await _insert(session, workspace_id, name, scopes, app_slugs, policy)
            await record_audit(
                session, workspace_id, actor, "key.created", detail=issued.key.client_id
            )
        return issued

    async def of_workspace(self, workspace_id: UUID) -> list[Key]:
        return [
            read_key(row) for row in await self._database.fetch(sql.keys_of_workspace, workspace_id)
        ]

    async def find_by_client_id(self, client_id: str) -> Key | None:
        """The key with this client id, live or revoked."""
        workspace_id = workspace_of(client_id, (CLIENT_ID,))
        keys = [] if workspace_id is None else await self.of_workspace(workspace_id)
        return next((key for key in keys if key.client_id == client_id), None)

    async def find_by_credential(self, credential: Secret) -> Key | None:
        """The key of a secret or an access token, live or revoked; it does not count as used."""
        workspace_id = workspace_of(credential.reveal(), (SECRET, TOKEN))
        if workspace_id is None:
            return None
        row = await self._database.fetchrow(
            sql.key_of_credential, workspace_id, hash_of(credential)
        )
        return None if row is None else read_key(row)

    @asynccontextmanager
    async def lock(self, key_id: UUID) -> AsyncIterator[LockedKey]:
        """Lock a live key for a change. Raises NotFound."""
        workspace_id = await self._database.fetchval(sql.workspace_of_key, key_id)
        async with self._database.transaction() as session:
            rows = await session.fetch(sql.lock_live_keys, workspace_id) if workspace_id else []
            live = {row["id"]: read_key(row) for row in rows}
            if key_id not in live:
                raise NotFound("There is no such key.")
            managers = {each.id for each in live.values() if each.manages_keys}
            yield LockedKey(session, live[key_id], last_manager=managers == {key_id})

    async def revoke(self, key_id: UUID, *, actor: str = SHELL) -> None:
        """End a key everywhere within seconds.

        Raises NotFound when there is no such live key, and NotAllowed for the last one that can
        manage keys.
        """
        async with self.lock(key_id) as locked:
            await locked.revoke(actor)

    async def find_caller(self, credential: Secret, client_id: str | None) -> Caller | None:
        """The caller with this secret or access token; a client id must be the key's."""
        workspace_id = workspace_of(credential.reveal())
        if workspace_id is None:
            return None
        query = (
            sql.caller_of_token if credential.reveal().startswith(TOKEN) else sql.caller_of_secret
        )
        row = await self._database.fetchrow(query, workspace_id, hash_of(credential))
        if row is None or (client_id is not None and row["client_id"] != client_id):
            return None
        self._used[workspace_id, row["id"]] = time.monotonic()
        return read_caller(workspace_id, row)

    async def find_client(self, client_id: str) -> "TokenClient | None":
        """The live key with this client id, as an OAuth client."""
        workspace_id = workspace_of(client_id)
        if workspace_id is None or not client_id.startswith(CLIENT_ID):
            return None
        row = await self._database.fetchrow(sql.key_of_client_id, workspace_id, client_id)
        if row is None:
            return None
        return TokenClient(
            workspace_id, row["id"], client_id, row["secret_hash"], tuple(row["scopes"])
        )

    async def store_token(
        self, client: "TokenClient", token: Secret, scopes: list[str], lifetime: timedelta
    ) -> None:
        self._used[client.workspace_id, client.key_id] = time.monotonic()
        await self._database.execute(
            sql.store_token, client.workspace_id, hash_of(token), client.key_id, scopes, lifetime
        )

    async def flush_last_used(self) -> None:
        """Write when keys were last used, as far as they were looked up since the last time."""
        used, self._used = self._used, {}
        now = time.monotonic()
        for workspace_id, keys in grouped((key[0], (key[1], at)) for key, at in used.items()):
            ids, seconds = [each[0] for each in keys], [now - each[1] for each in keys]
            await self._database.execute(sql.record_keys_used, workspace_id, ids, seconds)

    async def purge_tokens(self) -> int:
        return await self._database.purge(sql.purge_tokens)


async def _insert(
    session: Session,
    workspace_id: UUID,
    name: str,
    scopes: tuple[str, ...],
    app_slugs: tuple[str, ...] | None,
    policy: tuple[PolicyRule, ...] | None,
) -> IssuedKey:
    secret = mint(SECRET, workspace_id)
    row = await session.fetchrow(
        sql.create_key,
        workspace_id,
        uuid4(),
        f"{CLIENT_ID}{workspace_id.hex}{secrets.token_hex(6)}",
        hash_of(secret),
        name,
        list(scopes),
        None if app_slugs is None else list(app_slugs),
        write_policy(policy),
    )
    return IssuedKey(read_key(row), secret)


@dataclass(frozen=True, slots=True)
class TokenClient:
    """A key as an OAuth client of the token endpoint."""

    workspace_id: UUID
    key_id: UUID
    client_id: str
    secret_hash: bytes
    scopes: tuple[str, ...]

    def proves(self, secret: str) -> bool:
        return hmac.compare_digest(self.secret_hash, hash_of(Secret(secret)))


def mint(prefix: str, workspace_id: UUID) -> Secret:
    """A credential of 256 random bits, after the workspace that it belongs to."""
    return Secret(f"{prefix}{workspace_id.hex}{secrets.token_urlsafe(32)}")


def workspace_of(
    credential: str, prefixes: tuple[str, ...] = (CLIENT_ID, SECRET, TOKEN)
) -> UUID | None:
    """The workspace in a credential of the broker's, if it has one of these prefixes."""
    if credential[:3] not in prefixes or not credential.isprintable():
        return None
    try:
        return UUID(hex=credential[3:35])
    except ValueError:
        return None


def read_caller(workspace_id: UUID, row: Any) -> Caller:
    """A row with a key's id and limits as who holds the key."""
    return Caller(
        workspace_id,
        row["id"],
        frozenset(row["scopes"]),
        None if row["app_slugs"] is None else frozenset(row["app_slugs"]),
        read_policy(row["policy"]),
    )


def hash_of(secret: Secret) -> bytes:
    """What is stored for a credential of 256 random bits; a plain hash is enough for those."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).digest()


def _workspace(row: Any) -> Workspace:
    return Workspace(row["id"], row["name"], row["created_at"])
