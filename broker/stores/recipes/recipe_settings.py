"""Apps' settings of recipes, with the secrets sealed."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from broker.domain.invalidation import Invalidation
from broker.domain.model import App, Secret
from broker.domain.runs import ObjectTrigger, RecipeSetting
from broker.errors import AppNotFound
from broker.sealing import Place, Sealer
from broker.stores.access.audit import record_audit
from broker.stores.core.database import Database, Session
from broker.stores.core.invalidation import notify
from broker.stores.core.queries import sql
from broker.stores.recipes.recipe_health import watch


class RecipeSettings:
    """Recipe settings by app."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    @asynccontextmanager
    async def lock(self, app: App, recipe: str) -> AsyncIterator["LockedSetting"]:
        """Lock an app's settings, there or not, for a change. Raises AppNotFound."""
        async with self._database.transaction() as session:
            if await session.fetchval(sql.lock_app_settings, app.workspace_id, app.id) is None:
                raise AppNotFound
            row = await session.fetchrow(
                sql.recipe_setting_of_app, app.workspace_id, app.id, recipe
            )
            current = None if row is None else self._setting(app.workspace_id, app.id, recipe, row)
            yield LockedSetting(session, self._sealer, app, recipe, current)

    async def find(self, workspace_id: UUID, app_id: UUID, recipe: str) -> RecipeSetting | None:
        """The settings of an app."""
        row = await self._database.fetchrow(sql.recipe_setting_of_app, workspace_id, app_id, recipe)
        return None if row is None else self._setting(workspace_id, app_id, recipe, row)

    async def of_slug(self, workspace_id: UUID, slug: str, recipe: str) -> RecipeSetting | None:
        """The settings of a live app by its lower-case slug."""
        row = await self._database.fetchrow(sql.recipe_setting_of_slug, workspace_id, slug, recipe)
        return None if row is None else self._setting(workspace_id, row["app_id"], recipe, row)

    async def with_triggers(
        self, session: Session, workspace_id: UUID, app_id: UUID
    ) -> list[tuple[str, frozenset[ObjectTrigger], RecipeSetting]]:
        """The recipes of an app that changes of records start: name, triggers, and settings without
        secrets.
        """
        rows = await session.fetch(sql.settings_with_triggers, workspace_id, app_id)
        return [
            (
                row["recipe"],
                frozenset(ObjectTrigger(*each) for each in json.loads(row["triggers"])),
                RecipeSetting(
                    app_id,
                    json.loads(row["settings"]),
                    {},
                    row["created_at"],
                    row["updated_at"],
                ),
            )
            for row in rows
        ]

    async def naming(
        self, session: Session, workspace_id: UUID, recipe: str, field: str, value: str
    ) -> list[tuple[str, RecipeSetting]]:
        """The settings of live apps in which a field has a value, without their secrets, with the
        apps' slugs.
        """
        rows = await session.fetch(sql.settings_naming, workspace_id, recipe, field, value)
        return [
            (
                row["slug"],
                RecipeSetting(
                    row["app_id"],
                    json.loads(row["settings"]),
                    {},
                    row["created_at"],
                    row["updated_at"],
                ),
            )
            for row in rows
        ]

    async def delete(self, app: App, actor: str, recipe: str) -> bool:
        """Delete the settings; False when there were none."""
        async with self._database.transaction() as session:
            done = await session.execute(
                sql.delete_recipe_setting, app.workspace_id, app.id, recipe
            )
            await record_audit(
                session,
                app.workspace_id,
                actor,
                "recipe.removed",
                app.slug,
                detail=f"recipe {recipe}",
            )
            await notify(session, Invalidation.recipe(app.workspace_id, app.slug))
        return bool(done != "DELETE 0")

    def _setting(self, workspace_id: UUID, app_id: UUID, recipe: str, row: Any) -> RecipeSetting:
        opened = self._sealer.open(row["secrets"], _place(workspace_id, app_id, recipe))
        return RecipeSetting(
            app_id,
            json.loads(row["settings"]),
            {name: Secret(value) for name, value in json.loads(opened.reveal()).items()},
            row["created_at"],
            row["updated_at"],
        )


async def recipes_in_use(session: "asyncpg.Connection[asyncpg.Record]") -> set[str]:
    """The names of the recipes that any app has settings for."""
    return {row["recipe"] for row in await session.fetch(sql.recipes_in_use)}


@dataclass(frozen=True, slots=True)
class LockedSetting:
    """Locked settings; `current` is None when there are none yet."""

    session: Session
    sealer: Sealer
    app: App
    recipe: str
    current: RecipeSetting | None

    async def write(
        self,
        actor: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, Secret],
        triggers: Sequence[ObjectTrigger],
        polled_app: str | None,
    ) -> None:
        """Replace the settings; commits with the lock. `polled_app`: the slug of the app whose
        users' accounts the recipe polls.
        """
        workspace_id, app = self.app.workspace_id, self.app
        opened = {name: secret.reveal() for name, secret in secrets.items()}
        place = _place(workspace_id, app.id, self.recipe)
        rules = [[each.object_type, each.property, each.value] for each in triggers]
        await self.session.execute(
            sql.put_recipe_setting,
            workspace_id,
            app.id,
            self.recipe,
            json.dumps(settings),
            self.sealer.seal(Secret(json.dumps(opened)), place),
            json.dumps(rules) if rules else None,
            polled_app,
        )
        polls = sql.stop_polls_of_setting if polled_app is None else sql.wake_polls_of_setting
        await self.session.execute(polls, workspace_id, app.id, self.recipe)
        has_limits = settings.get("health") is not None
        await watch(self.session, workspace_id, app.id, self.recipe, has_limits=has_limits)
        await record_audit(
            self.session,
            workspace_id,
            actor,
            "recipe.changed",
            app.slug,
            detail=f"recipe {self.recipe}",
        )
        await notify(self.session, Invalidation.recipe(workspace_id, app.slug))


def _place(workspace_id: UUID, app_id: UUID, recipe: str) -> Place:
    return Place(workspace_id, f"recipe_setting/{app_id}/{recipe}", "secrets")
