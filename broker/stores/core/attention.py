"""What of a workspace's apps may need a person, in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from broker.domain.model import App
from broker.stores.core.database import Database
from broker.stores.core.queries import sql


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are of a kind: `failed-runs` and `unhealthy-recipe` (of a recipe),
    `dead-deliveries`, `endpoints`
    that refuse, and of the last hour `calls`, `limited-calls` (429) and `failed-calls` (5xx).
    """

    kind: str
    recipe: str | None
    number: int


class Attention:
    """Looks over the apps of one workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counts(self, apps: Sequence[App]) -> dict[UUID, list[Count]]:
        """What there is of each app; kinds without any are left out."""
        found: dict[UUID, list[Count]] = {}
        if apps:
            ids = [app.id for app in apps]
            for row in await self._database.fetch(sql.attention, apps[0].workspace_id, ids):
                count = Count(row["kind"], row["recipe"], row["number"])
                found.setdefault(row["app_id"], []).append(count)
        return found
