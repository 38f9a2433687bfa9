"""Changes in a portal, published to listeners: webhooks, the journal."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from broker.sandbox.hubspot.crm.types import ObjectType


@dataclass(frozen=True, slots=True)
class Author:
    """Who made a change: an app through the API, or a person in the CRM."""

    source: str = "CRM_UI"
    source_id: str = "userId:1000"

    def history(self) -> dict[str, Any]:
        """The author as a property's history names it."""
        return {"sourceType": self.source, "sourceId": self.source_id}


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `action` is the second half of a subscription type, such as `propertyChange`."""

    action: str
    hub_id: int
    type: ObjectType
    object_id: str
    at: float
    author: Author
    details: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Change], None]
