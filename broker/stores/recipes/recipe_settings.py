"""What apps want of recipes, with the vendor's secrets sealed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from broker.domain.invalidation import Invalidation
from broker.domain.model import App, Secret
from broker.domain.runs import RecipeSetting
from broker.sealing import Place, Sealer
from broker.stores.core.database import Database, Session
from broker.stores.core.invalidation import notify
from broker.stores.core.queries import sql


@dataclass(frozen=True, slots=True)
class Trigger:
    """A change of a Company's property that starts a recipe."""

    recipe: str
    property: str
    value: str


class RecipeSettings:
    """Recipe settings by app."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def put(
        self,
        app: App,
        actor: str,
        recipe: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, Secret],
        trigger: tuple[str, str] | None,
    ) -> None:
        """Write what an app wants of a recipe."""
        place = _place(app.workspace_id, app.id, recipe)
        opened = {name: secret.reveal() for name, secret in secrets.items()}
        sealed = self._sealer.seal(Secret(json.dumps(opened)), place)
        async with self._database.transaction() as session:
            await session.execute(
                sql.put_recipe_setting,
                app.workspace_id,
                app.id,
                recipe,
                json.dumps(settings),
                sealed,
                *(trigger or (None, None)),
            )
            detail = f"recipe {recipe}"
            await session.execute(
                sql.record_audit, app.workspace_id, actor, "recipe.changed", app.slug, None, detail
            )
            await notify(session, Invalidation.recipe(app.workspace_id, app.slug))

    async def find(self, workspace_id: UUID, app_id: UUID, recipe: str) -> RecipeSetting | None:
        row = await self._database.fetchrow(sql.recipe_setting_of_app, workspace_id, app_id, recipe)
        return None if row is None else self._setting(workspace_id, app_id, recipe, row)

    async def of_slug(self, workspace_id: UUID, slug: str, recipe: str) -> RecipeSetting | None:
        """The settings of a live app by its lower-case slug."""
        row = await self._database.fetchrow(sql.recipe_setting_of_slug, workspace_id, slug, recipe)
        return None if row is None else self._setting(workspace_id, row["app_id"], recipe, row)

    async def delete(self, app: App, actor: str, recipe: str) -> bool:
        """The app no longer wants the recipe; whether it did."""
        async with self._database.transaction() as session:
            done = await session.execute(
                sql.delete_recipe_setting, app.workspace_id, app.id, recipe
            )
            detail = f"recipe {recipe}"
            await session.execute(
                sql.record_audit, app.workspace_id, actor, "recipe.removed", app.slug, None, detail
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


async def triggers_of_app(session: Session, workspace_id: UUID, app_id: UUID) -> list[Trigger]:
    """Which changes of a Company start which recipe."""
    rows = await session.fetch(sql.triggers_of_app, workspace_id, app_id)
    return [Trigger(row["recipe"], row["trigger_property"], row["trigger_value"]) for row in rows]


def _place(workspace_id: UUID, app_id: UUID, recipe: str) -> Place:
    return Place(workspace_id, f"recipe_setting/{app_id}/{recipe}", "secrets")
