"""Workspaces, API keys and the access tokens made from them."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from broker.domain.invalidation import Invalidation
from broker.domain.model import KEY_SCOPES, Caller, Key, PolicyRule, Secret, Workspace
from broker.errors import NotFound
from broker.stores.access.policies import read_policy, write_policy
from broker.stores.core.database import Database
from broker.stores.core.invalidation import notify
from broker.stores.core.queries import sql

CLIENT_ID, SECRET, TOKEN = "bc_", "bs_", "bt_"
SESSION, OPERATOR = "cs_", "co_"
"""What our credentials begin with; the workspace's id follows, so that a look-up knows where."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key with its secret, which is never shown again."""

    key: Key
    client_secret: Secret


class Keys:
    """Credentials by hash: what is stored cannot be used to call."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_workspace(self, name: str) -> tuple[Workspace, IssuedKey]:
        """A new workspace and its first key, which may do everything."""
        workspace = Workspace(uuid4(), name)
        async with self._database.transaction() as session:
            await session.execute(sql.create_workspace, workspace.id, name)
        return workspace, await self.create(workspace.id, "first", tuple(KEY_SCOPES), None)

    async def find_workspace(self, workspace_id: UUID) -> Workspace | None:
        row = await self._database.fetchrow(sql.workspace_of_id, workspace_id)
        return None if row is None else Workspace(row["id"], row["name"])

    async def create(
        self,
        workspace_id: UUID,
        name: str,
        scopes: tuple[str, ...],
        app_slugs: tuple[str, ...] | None,
        policy: tuple[PolicyRule, ...] | None = None,
    ) -> IssuedKey:
        """A new key; a policy narrows what it may call through the proxy.

        Raises NotFound when there is no such workspace.
        """
        client_id = f"{CLIENT_ID}{workspace_id.hex}{secrets.token_hex(6)}"
        secret = mint(SECRET, workspace_id)
        async with self._database.transaction() as session:
            if await session.fetchrow(sql.workspace_of_id, workspace_id) is None:
                raise NotFound("There is no such workspace.")
            row = await session.fetchrow(
                sql.create_key,
                workspace_id,
                uuid4(),
                client_id,
                hash_of(secret),
                name,
                list(scopes),
                None if app_slugs is None else list(app_slugs),
                write_policy(policy),
            )
            await session.execute(
                sql.record_audit, workspace_id, "operator", "key.created", None, None, client_id
            )
        return IssuedKey(_key(row), secret)

    async def of_workspace(self, workspace_id: UUID) -> list[Key]:
        return [
            _key(row) for row in await self._database.fetch(sql.keys_of_workspace, workspace_id)
        ]

    async def revoke(self, key_id: UUID) -> None:
        """End a key everywhere within seconds. Raises NotFound when there is no such key."""
        async with self._database.transaction() as session:
            row = await session.fetchrow(sql.revoke_key, key_id)
            if row is None:
                raise NotFound("There is no such key.")
            await session.execute(
                sql.record_audit,
                row["workspace_id"],
                "operator",
                "key.revoked",
                None,
                None,
                row["client_id"],
            )
            await notify(session, Invalidation.key(key_id))

    async def find_caller(self, credential: Secret, client_id: str | None) -> Caller | None:
        """Who holds a key's secret or an access token, of this client id where one is given."""
        workspace_id = workspace_of(credential.reveal())
        if workspace_id is None:
            return None
        query = (
            sql.caller_of_token if credential.reveal().startswith(TOKEN) else sql.caller_of_secret
        )
        row = await self._database.fetchrow(query, workspace_id, hash_of(credential))
        if row is None or (client_id is not None and row["client_id"] != client_id):
            return None
        return read_caller(workspace_id, row)

    async def find_client(self, client_id: str) -> "TokenClient | None":
        """The key that may ask for access tokens under this client id."""
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
        await self._database.execute(
            sql.store_token, client.workspace_id, hash_of(token), client.key_id, scopes, lifetime
        )

    async def purge_tokens(self) -> int:
        return await self._database.execute(sql.purge_tokens)


@dataclass(frozen=True, slots=True)
class TokenClient:
    """A key as an OAuth client of our token endpoint."""

    workspace_id: UUID
    key_id: UUID
    client_id: str
    secret_hash: bytes
    scopes: tuple[str, ...]

    def proves(self, secret: str) -> bool:
        return hmac.compare_digest(self.secret_hash, hash_of(Secret(secret)))


def mint(prefix: str, workspace_id: UUID) -> Secret:
    """A credential of 256 random bits that says which workspace to look in."""
    return Secret(f"{prefix}{workspace_id.hex}{secrets.token_urlsafe(32)}")


def workspace_of(
    credential: str, prefixes: tuple[str, ...] = (CLIENT_ID, SECRET, TOKEN)
) -> UUID | None:
    """The workspace that a credential of ours names, if it is one of these kinds."""
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
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogateescape")).digest()


def _key(row: Any) -> Key:
    return Key(
        row["id"],
        row["workspace_id"],
        row["client_id"],
        row["name"],
        tuple(row["scopes"]),
        None if row["app_slugs"] is None else tuple(row["app_slugs"]),
        read_policy(row["policy"]),
        row["created_at"],
        row["revoked_at"],
    )
