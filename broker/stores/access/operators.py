"""Operators signed in to the console, by the hash of their cookie."""

from datetime import timedelta
from uuid import UUID

from broker.domain.browser_sessions import Operator
from broker.domain.model import Secret
from broker.stores.access.audit import record_audit
from broker.stores.access.keys import OPERATOR, hash_of, mint, read_caller, workspace_of
from broker.stores.core.database import Database
from broker.stores.core.queries import sql

MOST_REFUSALS = 20
"""Refused sign-ins that a workspace's audit log takes in an hour; a few more at the same moment."""


class Operators:
    """Sign-ins; only hashes of cookies are stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, workspace_id: UUID, key_id: UUID, lifetime: timedelta) -> Secret:
        """A new sign-in: what its cookie holds."""
        token = mint(OPERATOR, workspace_id)
        async with self._database.transaction() as session:
            await session.execute(
                sql.create_operator_session, workspace_id, hash_of(token), key_id, lifetime
            )
            await record_audit(session, workspace_id, str(key_id), "console.signed_in")
        return token

    async def record_refusal(self, workspace_id: UUID, actor: str, why: str) -> None:
        """Write a refused sign-in into the audit log of the workspace that the secret names, if
        there is one, and not more than `MOST_REFUSALS` in an hour: whoever tries secrets must not
        fill it.
        """
        recorded = await self._database.fetchval(sql.refused_sign_ins, workspace_id)
        if recorded is None or recorded >= MOST_REFUSALS:
            return
        if recorded + 1 == MOST_REFUSALS:
            why += "; more of this hour are not recorded"
        async with self._database.transaction() as session:
            await record_audit(session, workspace_id, actor, "console.sign_in_refused", detail=why)

    async def find(self, token: Secret) -> Operator | None:
        """Who is signed in; the key is read each time, so that a revoked one ends at once."""
        workspace_id = workspace_of(token.reveal(), (OPERATOR,))
        if workspace_id is None:
            return None
        row = await self._database.fetchrow(sql.operator_of_token, workspace_id, hash_of(token))
        if row is None:
            return None
        caller = read_caller(workspace_id, row)
        return Operator(caller, row["name"], row["workspace_name"])

    async def end(self, token: Secret) -> None:
        workspace_id = workspace_of(token.reveal(), (OPERATOR,))
        if workspace_id is not None:
            await self._database.execute(sql.end_operator_session, workspace_id, hash_of(token))

    async def purge(self) -> int:
        """Delete some sign-ins that ran out; how many."""
        return await self._database.purge(sql.purge_operator_sessions)
