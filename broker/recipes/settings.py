"""An app's settings of a recipe: validated by the recipe's model, with the secrets sealed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel

from broker.domain.model import App, Secret
from broker.domain.runs import ObjectTrigger, RecipeSetting
from broker.errors import InvalidRequest, RecipeNotFound, wrong_field
from broker.providers.catalog import DEFAULT
from broker.recipes.secret_fields import secret_fields
from broker.stores.core.database import Session
from broker.stores.recipes.recipe_settings import RecipeSettings

S = TypeVar("S", bound=BaseModel)

OVERLAP = timedelta(hours=24)
"""For how long the value before a rotating secret's present one is accepted too."""


@dataclass(frozen=True, slots=True)
class StoredSettings(Generic[S]):
    """Settings as they are stored. The secrets are not in `model`."""

    app_id: UUID
    model: S
    secrets: Mapping[str, Secret]
    changed_at: Mapping[str, str]
    created_at: datetime
    updated_at: datetime

    def accepted(self, name: str) -> tuple[Secret, ...]:
        """A rotating secret's present value, and for a day the one before."""
        found = [self.secrets[name]] if name in self.secrets else []
        changed = self.changed_at.get(name)
        if changed and datetime.now(UTC) < datetime.fromisoformat(changed) + OVERLAP:
            found += [self.secrets[each] for each in (_previous(name),) if each in self.secrets]
        return tuple(found)


class RecipeSetup(Generic[S]):
    """Stores and reads the settings of one recipe."""

    def __init__(
        self,
        store: RecipeSettings,
        name: str,
        model: type[S],
        *,
        check: Callable[[S], None],
        triggers: Callable[[S], Sequence[ObjectTrigger]],
        polled_app: Callable[[S], str | None],
        rotating: Sequence[str],
    ) -> None:
        self.name = name
        self._store = store
        self._model = model
        self._check = check
        self._triggers = triggers
        self._polled_app = polled_app
        self._rotating = rotating
        self._secrets = secret_fields(model)

    async def get(self, app: App) -> StoredSettings[S]:
        """Raises RecipeNotFound when the app has no settings for the recipe."""
        return await self.of_app(app.workspace_id, app.id)

    async def of_app(self, workspace_id: UUID, app_id: UUID) -> StoredSettings[S]:
        """Raises RecipeNotFound when the app has no settings for the recipe."""
        found = await self._store.find(workspace_id, app_id, self.name)
        if found is None:
            raise RecipeNotFound(
                f"The recipe {self.name} is not configured for this app. Configure it with "
                f"PUT /api/apps/{{slug}}/recipes/{self.name}."
            )
        return self.read(found)

    async def polled_app_of(self, workspace_id: UUID, app_id: UUID) -> str:
        """The slug of the app whose users' accounts are polled. Raises RecipeNotFound when the app
        has no such settings.
        """
        slug = self._polled_app((await self.of_app(workspace_id, app_id)).model)
        if slug is None:
            raise RecipeNotFound
        return slug

    async def find_by_slug(self, workspace_id: UUID, slug: str) -> StoredSettings[S] | None:
        """The settings of a live app by its lower-case slug."""
        found = await self._store.of_slug(workspace_id, slug, self.name)
        return None if found is None else self.read(found)

    async def naming(
        self, session: Session, workspace_id: UUID, field: str, value: str
    ) -> list[tuple[str, StoredSettings[S]]]:
        """The settings of live apps in which a field has a value, with the apps' slugs; their
        secrets are left out.
        """
        found = await self._store.naming(session, workspace_id, self.name, field, value)
        return [(slug, self.read(each)) for slug, each in found]

    async def put(self, app: App, actor: str, body: S) -> StoredSettings[S]:
        """Replace the settings; a secret that is left out stays. A new value of a rotating secret
        leaves the one before valid for a day. Raises InvalidRequest, also for an app of another
        provider than HubSpot, whose accounts recipes act in.
        """
        if app.provider != DEFAULT:
            raise InvalidRequest(
                f"Recipes are configured for an app of HubSpot; {app.slug} is an app of "
                f"{app.provider}."
            )
        self._check(body)
        settings = body.model_dump(mode="json", exclude=set(self._secrets))
        # Two PUTs wait for each other: each sees the secrets that the other has stored.
        async with self._store.lock(app, self.name) as locked:
            current = locked.current
            secrets = {} if current is None else dict(current.secrets)
            changed = {} if current is None else _changed_at(current.settings)
            for name, rule in self._secrets.items():
                sent: Secret | None = getattr(body, name)
                if sent is not None and sent != secrets.get(name):
                    if name in self._rotating and name in secrets:
                        secrets[_previous(name)] = secrets[name]
                        changed[name] = datetime.now(UTC).isoformat()
                    secrets[name] = sent
                if rule.needed and name not in secrets:
                    raise wrong_field(name, "is needed the first time")
            settings |= {f"{name}{CHANGED_AT}": at for name, at in changed.items()}
            triggers, polled = self._triggers(body), self._polled_app(body)
            await locked.write(actor, settings, secrets, triggers, polled)
        return await self.get(app)

    async def left_out(self, app: App, typed: Mapping[str, Any]) -> dict[str, Any]:
        """The stored settings that a form has no field for, so that storing it keeps them."""
        found = await self._store.find(app.workspace_id, app.id, self.name)
        stored = {} if found is None else found.settings
        names = set(self._model.model_fields) - set(self._secrets) - set(typed)
        return {name: value for name, value in stored.items() if name in names}

    async def delete(self, app: App, actor: str) -> None:
        """Delete the settings with their secrets. Raises RecipeNotFound."""
        if not await self._store.delete(app, actor, self.name):
            raise RecipeNotFound

    def read(self, found: RecipeSetting) -> StoredSettings[S]:
        """What is stored, as the recipe's model."""
        fields: dict[str, Any] = {
            name: value
            for name, value in found.settings.items()
            if name in self._model.model_fields
        }
        return StoredSettings(
            found.app_id,
            self._model.model_validate(fields),
            found.secrets,
            _changed_at(found.settings),
            found.created_at,
            found.updated_at,
        )


CHANGED_AT = "ChangedAt"


def _changed_at(settings: Mapping[str, Any]) -> dict[str, str]:
    return {
        name.removesuffix(CHANGED_AT): at
        for name, at in settings.items()
        if name.endswith(CHANGED_AT) and at is not None
    }


def _previous(name: str) -> str:
    return f"previous{name[:1].upper()}{name[1:]}"
