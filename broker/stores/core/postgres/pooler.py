"""Whether a pooler stands before Postgres, and what it lets through."""

import secrets
from enum import Enum
from typing import Any

from broker.stores.core.queries import sql


class Pooler(Enum):
    """What stands between. Either may share one session of Postgres among clients, a transaction
    each, so that LISTEN, session locks and settings do not hold.
    """

    STATEMENTS = "prepared statements are kept apart"
    """PgBouncer 1.21 and later with `max_prepared_statements`: it renames them."""

    TRANSACTIONS = "prepared statements are not kept apart"
    """PgBouncer before 1.21, or others: a named statement of one client meets another's."""


async def detect(session: Any) -> Pooler | None:
    """The pooler behind a fresh session, or None: the process that a pooler names is not the one
    that runs the statements.
    """
    if session.get_server_pid() == await session.fetchval("SELECT pg_backend_pid()"):
        return None
    name = f"broker_{secrets.token_hex(8)}"
    async with session.transaction():
        statement = await session.prepare(sql.prepared_statement_names, name=name)
        kept_as_named = any(row["name"] == name for row in await statement.fetch())
        if kept_as_named:
            await session.execute(f"DEALLOCATE {name}")
    return Pooler.TRANSACTIONS if kept_as_named else Pooler.STATEMENTS
