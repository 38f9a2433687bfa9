"""A locked key: the one way to change or revoke it, with the last one that manages keys kept."""

from dataclasses import dataclass, replace
from typing import Any

from broker.domain.invalidation import Invalidation
from broker.domain.model import Key, PolicyRule
from broker.errors import NotAllowed
from broker.stores.access.audit import record_audit
from broker.stores.access.policies import read_policy, write_policy
from broker.stores.core.database import Session
from broker.stores.core.invalidation import notify
from broker.stores.core.queries import sql


@dataclass(frozen=True, slots=True)
class LockedKey:
    """A live key, locked with all others of its workspace."""

    _session: Session
    key: Key
    last_manager: bool
    """Whether it is the workspace's last key that can manage keys."""

    async def change(
        self,
        actor: str,
        *,
        name: str,
        scopes: tuple[str, ...],
        app_slugs: tuple[str, ...] | None,
        policy: tuple[PolicyRule, ...] | None,
    ) -> Key:
        """Write the key's name and limits; its secret stays. Raises NotAllowed."""
        changed = replace(self.key, name=name, scopes=scopes, app_slugs=app_slugs, policy=policy)
        if not changed.manages_keys:
            self._check_not_last()
        row = await self._session.fetchrow(
            sql.change_key,
            self.key.workspace_id,
            self.key.id,
            name,
            list(scopes),
            None if app_slugs is None else list(app_slugs),
            write_policy(policy),
        )
        await notify(self._session, Invalidation.key(self.key.id))
        await record_audit(
            self._session,
            self.key.workspace_id,
            actor,
            "key.changed",
            detail=f"{self.key.client_id} {_difference(self.key, changed)}".strip(),
        )
        return read_key(row)

    async def revoke(self, actor: str) -> None:
        """End the key. Raises NotAllowed."""
        self._check_not_last()
        await self._session.execute(sql.revoke_key, self.key.workspace_id, self.key.id)
        await notify(self._session, Invalidation.key(self.key.id))
        await record_audit(
            self._session,
            self.key.workspace_id,
            actor,
            "key.revoked",
            detail=self.key.client_id,
        )

    def _check_not_last(self) -> None:
        if self.last_manager:
            raise NotAllowed(
                "This is the last key that can manage keys (scopes apps and console, without "
                "limits). Create another one first."
            )


def _difference(before: Key, after: Key) -> str:
    """What changed, in a few words for the audit log."""
    gained = [f"+{each}" for each in after.scopes if each not in before.scopes]
    lost = [f"-{each}" for each in before.scopes if each not in after.scopes]
    limits = [
        word
        for word, old, new in (
            ("name", before.name, after.name),
            ("apps", before.app_slugs, after.app_slugs),
            ("policy", before.policy, after.policy),
        )
        if old != new
    ]
    return " ".join((*gained, *lost, *limits))


def read_key(row: Any) -> Key:
    """A row with all of a key's columns as a Key."""
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
        row["last_used_at"],
    )
