"""Whose HubSpot account a recipe acts in: usable connections, by user and by account."""

from broker.crm.records import HubSpotUser
from broker.domain.model import App, Caller, Connection, ProxyCall, Status
from broker.errors import ConnectionNotFound, ReauthRequired
from broker.services.grants.renewals import refusal_of
from broker.services.installs.oauth_flow import Installs
from broker.stores.connections.connections import Connections


class HubSpotAccounts:
    """Finds the connection that a recipe may use."""

    def __init__(self, connections: Connections, installs: Installs) -> None:
        self._connections = connections
        self._installs = installs

    async def usable(self, app: App, caller: Caller, user_ref: str) -> Connection:
        """A user's connection, if it holds a grant.

        Raises ConnectionNotFound, ConnectionPending, or ReauthRequired (with a `reconnectUrl` when
        the caller's key may mint one).
        """
        connection = await self._connections.of_user(app.workspace_id, app.slug, user_ref)
        if connection.grant is not None:
            return connection
        refusal = refusal_of(connection)
        if isinstance(refusal, ReauthRequired):
            call = ProxyCall(app.slug, user_ref, "GET", "/", [], None)
            raise await self._installs.with_reconnect_url(refusal, caller, call)
        raise refusal

    async def user(self, app: App, caller: Caller, user_ref: str) -> HubSpotUser:
        """The user with the account of its connection now. Raises as `usable`."""
        connection = await self.usable(app, caller, user_ref)
        return HubSpotUser(app.workspace_id, app.slug, user_ref, connection.hub_id)

    async def users(self, app: App, limit: int) -> list[HubSpotUser]:
        """Users with active connections, the oldest first."""
        page = await self._connections.page(
            app, status=Status.ACTIVE, account_id=None, after=0, limit=limit
        )
        return [
            HubSpotUser(app.workspace_id, app.slug, each.user_ref, each.hub_id)
            for each in page.records
            if each.user_ref is not None
        ]

    async def user_of_account(self, app: App, hub_id: int) -> HubSpotUser:
        """The user whose active connection to an account is the oldest. Raises
        ConnectionNotFound.
        """
        page = await self._connections.page(
            app, status=Status.ACTIVE, account_id=str(hub_id), after=0, limit=1
        )
        for each in page.records:
            if each.user_ref is not None:
                return HubSpotUser(app.workspace_id, app.slug, each.user_ref, hub_id)
        raise ConnectionNotFound("No user of this app is connected to this HubSpot account.")
