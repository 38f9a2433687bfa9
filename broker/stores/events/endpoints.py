"""Endpoints by app, with their sealed signing secrets."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from broker.domain.events import Endpoint
from broker.domain.model import App, Secret
from broker.errors import EndpointNotFound, InvalidRequest
from broker.sealing import Place, Sealer
from broker.stores.access.audit import record_audit
from broker.stores.core.database import Database
from broker.stores.core.queries import sql

MOST = 50
"""Endpoints of one app: each of its events goes to every one that subscribes to it."""


class Endpoints:
    """Where apps' events are sent."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def register(
        self, app: App, actor: str, url: str, events: Sequence[str], secret: Secret
    ) -> Endpoint:
        """A new endpoint. Raises InvalidRequest when the app has too many."""
        endpoint_id = uuid4()
        sealed = self._sealer.seal(secret, endpoint_place(app.workspace_id, endpoint_id))
        async with self._database.transaction() as session:
            row = await session.fetchrow(
                sql.create_endpoint,
                app.workspace_id,
                endpoint_id,
                app.id,
                url,
                list(events),
                sealed,
                MOST,
            )
            if row is None:
                raise InvalidRequest(f"An app has at most {MOST} endpoints.")
            await record_audit(
                session,
                app.workspace_id,
                actor,
                "endpoint.registered",
                app.slug,
                detail=str(endpoint_id),
            )
        return _endpoint(row)

    async def of_app(self, app: App) -> list[Endpoint]:
        rows = await self._database.fetch(sql.endpoints_of_app, app.workspace_id, app.id)
        return [_endpoint(row) for row in rows]

    async def get(self, app: App, endpoint_id: UUID) -> Endpoint:
        """One of the app's endpoints. Raises EndpointNotFound."""
        row = await self._database.fetchrow(
            sql.endpoint_of_app, app.workspace_id, app.id, endpoint_id
        )
        return _endpoint(_there(row))

    async def change(
        self,
        app: App,
        endpoint_id: UUID,
        actor: str,
        *,
        url: str | None,
        events: Sequence[str] | None,
        enabled: bool | None,
    ) -> Endpoint:
        """Write what should be different; None leaves as it is. Raises EndpointNotFound."""
        async with self._database.transaction() as session:
            row = await session.fetchrow(
                sql.change_endpoint,
                app.workspace_id,
                app.id,
                endpoint_id,
                url,
                None if events is None else list(events),
                enabled,
            )
            await record_audit(
                session,
                app.workspace_id,
                actor,
                "endpoint.changed",
                app.slug,
                detail=str(endpoint_id),
            )
            return _endpoint(_there(row))

    async def rotate(self, app: App, endpoint_id: UUID, actor: str, secret: Secret) -> None:
        """Sign with a new secret, and for a day with the present one too.

        Raises EndpointNotFound.
        """
        place = endpoint_place(app.workspace_id, endpoint_id)
        former = endpoint_place(app.workspace_id, endpoint_id, "previous_secret")
        async with self._database.transaction() as session:
            row = await session.fetchrow(
                sql.lock_endpoint_secret, app.workspace_id, app.id, endpoint_id
            )
            present = self._sealer.open(_there(row)["secret"], place)
            await session.execute(
                sql.rotate_endpoint_secret,
                app.workspace_id,
                endpoint_id,
                self._sealer.seal(secret, place),
                self._sealer.seal(present, former),
            )
            await record_audit(
                session,
                app.workspace_id,
                actor,
                "endpoint.rotated",
                app.slug,
                detail=str(endpoint_id),
            )

    async def remove(self, app: App, endpoint_id: UUID, actor: str) -> None:
        """Send nothing there any more. Raises EndpointNotFound."""
        async with self._database.transaction() as session:
            removed = await session.execute(
                sql.remove_endpoint, app.workspace_id, app.id, endpoint_id
            )
            if removed == "DELETE 0":
                raise EndpointNotFound
            await record_audit(
                session,
                app.workspace_id,
                actor,
                "endpoint.removed",
                app.slug,
                detail=str(endpoint_id),
            )

    async def purge_previous_secrets(self) -> None:
        """Delete previous secrets whose overlap has ended."""
        await self._database.execute(sql.purge_previous_secrets)


def endpoint_place(workspace_id: UUID, endpoint_id: UUID, column: str = "secret") -> Place:
    return Place(workspace_id, f"endpoint/{endpoint_id}", column)


def _there(row: Any) -> Any:
    if row is None:
        raise EndpointNotFound
    return row


def _endpoint(row: Any) -> Endpoint:
    fields = {name: row[name] for name in row.keys()}  # noqa: SIM118  # a Record iterates values
    fields["events"] = tuple(fields["events"])
    return Endpoint(**fields)
