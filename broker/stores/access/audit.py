"""Who did what, from where: entries that are chained by hash, so that a change is found.

Each entry's hash covers the one before it, its number and its own content. A workspace's entries
are numbered one by one under a row lock, which is held to the end of the transaction: record last.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from broker.domain.audit import SHELL, SOURCE, AuditEntry, AuditVerdict
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql

__all__ = ["SHELL", "Audit", "record_audit"]

BATCH = 1000


async def record_audit(
    session: Session,
    workspace_id: UUID,
    actor: str,
    action: str,
    app_slug: str | None = None,
    user_ref: str | None = None,
    detail: str | None = None,
) -> None:
    """Write down who did what, as part of the transaction that does it. `detail` holds no secret
    and no payload.
    """
    source, at = SOURCE.get(), datetime.now(UTC)
    content = (actor, source.via, source.address, action, app_slug, user_ref, detail)
    await session.execute(
        sql.record_audit, workspace_id, at, *content, _canonical(workspace_id, at, content)
    )


class Audit:
    """The log, to be read and verified; it is written by `record_audit` alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        workspace_id: UUID,
        *,
        app_slugs: Iterable[str] | None = None,
        since: datetime | None = None,
        actor: str | None = None,
        action: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> list[AuditEntry]:
        """Entries, newest first, from before a sequence. `action` is one or a family such as
        `app.*`; with `app_slugs` only those apps' entries are given.
        """
        family = action[:-1] if action is not None and action.endswith(".*") else None
        rows = await self._database.fetch(
            sql.audit_page,
            workspace_id,
            since,
            actor,
            None if family else action,
            family,
            None if app_slugs is None else list(app_slugs),
            before,
            limit,
        )
        return [AuditEntry(**dict(row)) for row in rows]

    async def verify(self, workspace_id: UUID) -> AuditVerdict:
        """Compute the chain again, from the first entry to the last that was written."""
        head = await self._database.fetchrow(sql.audit_head_of, workspace_id)
        last = 0 if head is None else head["sequence"]
        known, sequence = b"", 0
        while True:
            rows = await self._database.fetch(sql.audit_from, workspace_id, sequence, last, BATCH)
            for row in rows:
                if row["sequence"] != sequence + 1 or row["hash"] != _link(
                    known, row["sequence"], _content_of(workspace_id, row)
                ):
                    return AuditVerdict(sequence, sequence + 1, known)
                known, sequence = row["hash"], row["sequence"]
            if len(rows) < BATCH:
                break
        whole = head is None or (sequence == last and known == head["hash"])
        return AuditVerdict(sequence, None if whole else sequence + 1, known)


def _content_of(workspace_id: UUID, row: Any) -> bytes:
    names = ("actor", "via", "address", "action", "app_slug", "user_ref", "detail")
    return _canonical(workspace_id, row["at"], tuple(row[name] for name in names))


def _canonical(workspace_id: UUID, at: datetime, content: tuple[str | None, ...]) -> bytes:
    """An entry's content as the bytes that its hash covers."""
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps([str(workspace_id), moment, *content], separators=(",", ":")).encode()


def _link(known: bytes, sequence: int, content: bytes) -> bytes:
    """As the query `record_audit` computes it."""
    return hashlib.sha256(known + sequence.to_bytes(8, "big") + content).digest()
