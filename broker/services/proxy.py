"""Forward one call: find the connection, make its grant usable, send, once more when it ran out."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from broker.errors import CallRefused, ReauthRequired
from broker.hubspot import policy
from broker.hubspot.client import HubSpot
from broker.model import Answer, Caller, Connection, ProxyCall
from broker.services.callers import require
from broker.services.grants import Grants
from broker.services.installs import Installs
from broker.services.recent import Recent
from broker.stores.connections import Connections

Whose = tuple[UUID, str, str]
"""Workspace, lower-case slug and user reference: how a call names its connection."""


class Proxy:
    """HubSpot calls made as an app's users."""

    def __init__(
        self, connections: Connections, grants: Grants, installs: Installs, hubspot: HubSpot
    ) -> None:
        self._connections = connections
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
        (ReauthRequired with a `reconnectUrl` when the key may mint one), and HubSpotUnavailable or
        HubSpotTimeout when there is no answer.
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
            grant = await self._grants.usable(connection)
            async with self._hubspot.send(call, grant.access_token) as answer:
                if not (answer.rejects_grant and call.repeatable):
                    self._note_use(connection)
                    yield answer
                    return
            # HubSpot may end a token before the expiry it announced. Renew once; should it refuse
            # again, that refusal is the answer.
            self._recent.forget(whose)
            grant = await self._grants.renew(connection)
        except ReauthRequired as refusal:
            self._recent.forget(whose)
            raise await self._installs.with_reconnect_url(refusal, caller, call) from None
        async with self._hubspot.send(call, grant.access_token) as answer:
            self._note_use(connection)
            yield answer

    async def write_uses(self) -> None:
        """Write down when connections were last used since the last time."""
        used, self._used = self._used, {}
        now = time.monotonic()
        if used:
            await self._connections.note_use({key: now - at for key, at in used.items()})

    def _note_use(self, connection: Connection) -> None:
        self._used[connection.workspace_id, connection.id] = time.monotonic()
