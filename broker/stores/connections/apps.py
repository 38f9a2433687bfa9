"""Apps by slug, with their sealed client secrets."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from broker.domain.events import NewEvent
from broker.domain.invalidation import Invalidation
from broker.domain.model import App, Confirm, PolicyRule, ProviderClient, Secret
from broker.errors import AppNotFound, SlugTaken
from broker.providers.subscriptions import TOPICS
from broker.sealing import Place, Sealer
from broker.stores.access.audit import record_audit
from broker.stores.access.policies import read_policy, write_policy
from broker.stores.connections.subscriptions import change_wanted
from broker.stores.core.database import Database, Session
from broker.stores.core.invalidation import notify
from broker.stores.core.queries import sql
from broker.stores.events.events import publish


@dataclass(frozen=True, slots=True)
class Registration:
    """The settings of an app; all but the provider can change later."""

    provider: str
    client_id: str
    client_secret: Secret
    hubspot_app_id: str
    scopes: tuple[str, ...]
    optional_scopes: tuple[str, ...]
    return_urls: tuple[str, ...]
    origins: tuple[str, ...]
    confirm: Confirm
    pkce: bool
    policy: tuple[PolicyRule, ...] | None
    legacy_signatures: bool = False
    journal: bool = False
    display_name: str | None = None
    logo_url: str | None = None
    install_url: str | None = None
    marketplace: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    webhook_secret: Secret | None = None

    @classmethod
    def of(cls, app: App) -> "Registration":
        """An app's settings as they are."""
        return cls(**{each.name: getattr(app, each.name) for each in fields(cls)})


class Apps:
    """Live apps; a removed one is hidden until its grants have been revoked."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def register(
        self, workspace_id: UUID, actor: str, slug: str, registration: Registration
    ) -> App:
        """A new app. Raises SlugTaken when the workspace has one with this slug."""
        app_id = uuid4()
        sealed = self._sealer.seal(registration.client_secret, secret_place(workspace_id, app_id))
        try:
            async with self._database.transaction() as session:
                row = await session.fetchrow(
                    sql.create_app,
                    workspace_id,
                    app_id,
                    slug,
                    registration.client_id,
                    sealed,
                    *_columns(registration),
                    registration.provider,
                    _sealed(
                        self._sealer,
                        registration.webhook_secret,
                        webhook_secret_place(workspace_id, app_id),
                    ),
                )
                await record_audit(session, workspace_id, actor, "app.registered", slug)
                await notify(session, Invalidation.app(workspace_id, slug))
        except asyncpg.UniqueViolationError as error:
            raise SlugTaken(f"This workspace already has an app called {slug}.") from error
        return self._app(row)

    async def get(self, workspace_id: UUID, slug: str) -> App:
        """A live app by its slug (compared without case). Raises AppNotFound."""
        row = await self._database.fetchrow(sql.app_of_slug, workspace_id, slug.lower())
        if row is None:
            raise AppNotFound
        return self._app(row)

    async def of_workspace(self, workspace_id: UUID) -> list[App]:
        rows = await self._database.fetch(sql.apps_of_workspace, workspace_id)
        return [self._app(row) for row in rows]

    @asynccontextmanager
    async def lock(self, workspace_id: UUID, slug: str) -> AsyncIterator["LockedApp"]:
        """Lock an app for a change. Raises AppNotFound."""
        async with self._database.transaction() as session:
            row = await session.fetchrow(sql.lock_app, workspace_id, slug.lower())
            if row is None:
                raise AppNotFound
            yield LockedApp(self, session, self._app(row))

    async def flag_credentials(self, workspace_id: UUID, app_id: UUID) -> None:
        """Mark that the provider refuses the app's client id and secret."""
        async with self._database.transaction() as session:
            await flag_credentials(session, workspace_id, app_id)

    async def purge_removed(self) -> None:
        """Delete removed apps that have no grant left to revoke."""
        for row in await self._database.fetch(sql.removed_apps):
            async with self._database.transaction() as session:
                await session.execute(sql.delete_revocations_of_app, row["workspace_id"], row["id"])
                await session.execute(sql.delete_events_of_app, row["workspace_id"], row["id"])
                await session.execute(sql.delete_app, row["workspace_id"], row["id"])

    def _app(self, row: Any) -> App:
        return read_app(self._sealer, row)


@dataclass(frozen=True, slots=True)
class LockedApp:
    """A locked app: the one way to change or remove it."""

    _apps: Apps
    _session: Session
    app: App

    async def change(self, actor: str, registration: Registration) -> App:
        """Write the new settings; a new secret keeps the old one valid for webhooks for a day."""
        place = secret_place(self.app.workspace_id, self.app.id)
        sealer = self._apps._sealer  # noqa: SLF001  # the two are one part
        renewed = registration.client_secret != self.app.client_secret
        own = webhook_secret_place(self.app.workspace_id, self.app.id)
        replaced = registration.webhook_secret != self.app.webhook_secret
        row = await self._session.fetchrow(
            sql.change_app,
            self.app.workspace_id,
            self.app.id,
            registration.client_id,
            sealer.seal(registration.client_secret, place),
            sealer.seal(self.app.client_secret, former_place(place)) if renewed else None,
            *_columns(registration),
            _sealed(sealer, registration.webhook_secret, own),
            _sealed(sealer, self.app.webhook_secret, former_place(own)) if replaced else None,
        )
        await notify(self._session, Invalidation.app(self.app.workspace_id, self.app.slug))
        topics = registration.options.get(TOPICS)
        if replaced or topics != self.app.options.get(TOPICS):
            await change_wanted(self._session, self.app, required=bool(topics))
        changed = [
            each.name
            for each in fields(Registration)
            if getattr(registration, each.name) != getattr(self.app, each.name)
        ]
        await record_audit(
            self._session,
            self.app.workspace_id,
            actor,
            "app.changed",
            self.app.slug,
            detail=", ".join(changed) or None,
        )
        return read_app(sealer, row)

    async def remove(self, actor: str) -> None:
        """Make the app look as if it never existed, its connections wiped at once."""
        workspace_id, app_id = self.app.workspace_id, self.app.id
        await self._session.execute(sql.remove_app, workspace_id, app_id)
        await self._session.execute(sql.end_grants_of_app, workspace_id, app_id)
        await self._session.execute(sql.delete_connections_of_app, workspace_id, app_id)
        await self._session.execute(sql.delete_pending_grants_of_app, workspace_id, app_id)
        await self._session.execute(sql.remove_endpoints_of_app, workspace_id, app_id)
        await notify(self._session, Invalidation.app(self.app.workspace_id, self.app.slug))
        await record_audit(self._session, workspace_id, actor, "app.removed", self.app.slug)


async def flag_credentials(session: Session, workspace_id: UUID, app_id: UUID) -> None:
    """Mark that the provider refuses the app's client id and secret, with one event however many
    processes find out.

    The row that the mark returns is the guard: it comes back the first time only.
    """
    slug = await session.fetchval(sql.flag_credentials, workspace_id, app_id)
    if slug is not None:
        event = NewEvent("app.credentials_refused", slug, None, None)
        await publish(session, workspace_id, app_id, [event])


def read_client(sealer: Sealer, row: Any) -> ProviderClient:
    """What an app presents itself with at its provider; of a row with `app_id`."""
    place = secret_place(row["workspace_id"], row["app_id"])
    return ProviderClient(
        row["client_id"], sealer.open(row["client_secret"], place), json.loads(row["options"])
    )


def secret_place(workspace_id: UUID, app_id: UUID) -> Place:
    return Place(workspace_id, f"app/{app_id}", "client_secret")


def webhook_secret_place(workspace_id: UUID, app_id: UUID) -> Place:
    return Place(workspace_id, f"app/{app_id}", "webhook_secret")


def former_place(place: Place) -> Place:
    """Where the secret that another one replaced is kept."""
    return replace(place, column=f"previous_{place.column}")


def _sealed(sealer: Sealer, secret: Secret | None, place: Place) -> bytes | None:
    return None if secret is None else sealer.seal(secret, place)


def read_app(sealer: Sealer, row: Any) -> App:
    """A row with all of an app's columns as an App."""
    return App(
        id=row["id"],
        workspace_id=row["workspace_id"],
        slug=row["slug"],
        provider=row["provider"],
        client_id=row["client_id"],
        client_secret=sealer.open(
            row["client_secret"], secret_place(row["workspace_id"], row["id"])
        ),
        hubspot_app_id=row["hubspot_app_id"],
        scopes=tuple(row["scopes"]),
        optional_scopes=tuple(row["optional_scopes"]),
        return_urls=tuple(row["return_urls"]),
        origins=tuple(row["origins"]),
        confirm=Confirm(row["confirm"]),
        pkce=row["pkce"],
        policy=read_policy(row["policy"]),
        legacy_signatures=row["legacy_signatures"],
        journal=row["journal"],
        display_name=row["display_name"],
        logo_url=row["logo_url"],
        install_url=row["install_url"],
        marketplace=row["marketplace"],
        options=json.loads(row["options"]),
        webhook_secret=None
        if row["webhook_secret"] is None
        else sealer.open(
            row["webhook_secret"], webhook_secret_place(row["workspace_id"], row["id"])
        ),
        credentials_refused_at=row["credentials_refused_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _columns(registration: Registration) -> tuple[Any, ...]:
    """What `create_app` and `change_app` take from the HubSpot app id on."""
    return (
        registration.hubspot_app_id,
        list(registration.scopes),
        list(registration.optional_scopes),
        list(registration.return_urls),
        list(registration.origins),
        registration.confirm.value,
        registration.pkce,
        write_policy(registration.policy),
        registration.legacy_signatures,
        registration.journal,
        registration.display_name,
        registration.logo_url,
        registration.install_url,
        registration.marketplace,
        json.dumps(dict(registration.options)),
    )
