"""Forward one call: find the connection, make its grant usable, wait for its turn, send, once more
when the token ran out.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from broker.errors import CallRefused, ReauthRequired
from broker.hubspot import policy
from broker.hubspot.client import HubSpot
from broker.hubspot.limits import kind_of
from broker.model import Answer, Caller, Connection, ProxyCall
from broker.services.buckets import Bucket
from broker.services.callers import require
from broker.services.grants import Grants
from broker.services.installs import Installs
from broker.services.quota import Quota
from broker.services.recent import Recent
from broker.stores.connections import Connections

Whose = tuple[UUID, str, str]
"""Workspace, lower-case slug and user reference: how a call names its connection."""


class Proxy:
    """HubSpot calls made as an app's users."""

    def __init__(
        self,
        connections: Connections,
        grants: Grants,
        installs: Installs,
        quota: Quota,
        hubspot: HubSpot,
    ) -> None:
        self._connections = connections
        self._quota = quota
        self._total = hubspot.deadlines.total
        self._grants = grants
        self._installs = installs
        self._hubspot = hubspot
        self._recent: Recent[Whose, Connection] = Recent(lambda whose: connections.of_user(*whose))
        self._used: dict[tuple[UUID, UUID], float] = {}
        self.forget_all = self._recent.forget_all

    @asynccontextmanager
    async def forward(self, caller: Caller, call: ProxyCall) -> AsyncIterator[Answer]:
        """Send the call and yield HubSpot's answer, whatever it is.

        Raises NotAllowed or CallRefused before anything else happens, what `Grants.usable` raises
        (ReauthRequired with a `reconnectUrl` when the key may mint one), QuotaExhausted when its
        turn does not come in time, and HubSpotUnavailable or HubSpotTimeout without an answer.
        """
        effect = policy.effect_of(call.method, call.target)
        require(caller, "proxy", *(["proxy:read"] if effect == "read" else []))
        whose = (caller.workspace_id, call.app_slug, call.user_ref)
        connection = await self._recent.get(whose)
        if connection.policy is not None and not policy.allows(
            connection.policy, call.method, call.target
        ):
            raise CallRefused
        try:
            answer = await self._answered(whose, connection, call)
        except ReauthRequired as refusal:
            self._recent.forget(whose)
            raise await self._installs.with_reconnect_url(refusal, caller, call) from None
        self._note_use(connection)
        try:
            yield answer
        finally:
            answer.close()

    async def _answered(self, whose: Whose, connection: Connection, call: ProxyCall) -> Answer:
        """Send the call in its turn, once more when the token ran out before its time."""
        bucket = self._quota.bucket(connection, kind_of(call.method, call.target))
        answer = await self._sent(whose, connection, call, bucket)
        if not (answer.rejects_grant and call.repeatable):
            return answer
        answer.close()
        # HubSpot may end a token before the expiry it announced. Renew once; should it refuse
        # again, that refusal is the answer.
        self._recent.forget(whose)
        grant = await self._grants.renew(connection)
        return await self._sent(whose, replace(connection, grant=grant), call, bucket)

    async def _sent(
        self, whose: Whose, connection: Connection, call: ProxyCall, bucket: Bucket
    ) -> Answer:
        grant = await self._grants.usable(connection)
        if await self._quota.take(bucket, connection.id, call.patience):
            # What was deleted or renewed meanwhile must not be used.
            grant = await self._grants.usable(await self._recent.get(whose))
        said = None
        try:
            answer = await self._hubspot.send(call, grant.access_token, self._total)
            said = answer.limits
        finally:
            self._quota.told(bucket, said)
        return answer

    async def write_uses(self) -> None:
        """Write down when connections were last used since the last time."""
        used, self._used = self._used, {}
        now = time.monotonic()
        if used:
            await self._connections.note_use({key: now - at for key, at in used.items()})

    def _note_use(self, connection: Connection) -> None:
        self._used[connection.workspace_id, connection.id] = time.monotonic()
