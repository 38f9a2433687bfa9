"""Changes that make cached values stale: what changed, as a notification names it."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Kind = Literal["connection", "key", "app", "recipe"]

_PARTS = {"connection": 3, "key": 1, "app": 2, "recipe": 2}
"""How many names follow each kind; the last may hold any character."""


@dataclass(frozen=True, slots=True)
class Invalidation:
    """Something that changed. `names` are the workspace, the lower-case slug of an app and, for a
    connection, its user; for a key, its id.
    """

    kind: Kind
    names: tuple[str, ...]

    @classmethod
    def connection(cls, workspace_id: UUID, slug: str, user_ref: str) -> "Invalidation":
        return cls("connection", (str(workspace_id), slug.lower(), user_ref))

    @classmethod
    def key(cls, key_id: UUID) -> "Invalidation":
        return cls("key", (str(key_id),))

    @classmethod
    def app(cls, workspace_id: UUID, slug: str) -> "Invalidation":
        return cls("app", (str(workspace_id), slug.lower()))

    @classmethod
    def recipe(cls, workspace_id: UUID, slug: str) -> "Invalidation":
        return cls("recipe", (str(workspace_id), slug.lower()))

    @property
    def payload(self) -> str:
        """The change as a notification carries it."""
        return f"{self.kind} {'/'.join(self.names)}"

    def is_of_app(self, workspace_id: UUID, slug: str) -> bool:
        """Whether it names this app, or a connection or recipe of it."""
        return self.kind != "key" and self.names[:2] == (str(workspace_id), slug.lower())


def read_invalidation(payload: str) -> Invalidation | None:
    """A notification's change; None where it names none that is known here: then anything may have
    changed.
    """
    kind, _, rest = payload.partition(" ")
    names = tuple(rest.split("/", _PARTS.get(kind, 1) - 1))
    match kind:
        case "connection" | "key" | "app" | "recipe" if len(names) == _PARTS[kind]:
            return Invalidation(kind, names)
    return None
