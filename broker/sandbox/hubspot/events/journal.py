"""The Webhooks Journal: events of the portals, in files that exist for three days
(https://developers.hubspot.com/docs/api-reference/latest/webhooks-journal/guide).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from broker.sandbox.hubspot.events.changes import Change

RETENTION_S = 3 * 86_400.0
ACTIONS = {
    "creation": "CREATE",
    "propertyChange": "UPDATE",
    "deletion": "DELETE",
    "merge": "MERGE",
    "restore": "RESTORE",
    "privacyDeletion": "GDPR_DELETE",
}
LIFECYCLE = {"4-1909196": "APP_INSTALL", "4-1916193": "APP_UNINSTALL"}


@dataclass(slots=True)
class File:
    """Some events of one app, published at a moment. A file that was read never changes: its offset
    identifies all of it.
    """

    offset: str
    events: list[dict[str, Any]]
    published_at: float
    read: bool = False


@dataclass(slots=True)
class Journal:
    """Files by app, oldest first. `per_file` events at most are in one."""

    now: Callable[[], float]
    per_file: int = 100
    subscriptions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    files: dict[str, list[File]] = field(default_factory=dict)

    def subscribe(self, client_id: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Record from now on what a subscription names. Raises KeyError or ValueError."""
        if payload["subscriptionType"] == "APP_LIFECYCLE_EVENT":
            if payload["eventTypeId"] not in LIFECYCLE:
                raise ValueError("unknown event type")
        elif payload["subscriptionType"] == "OBJECT":
            int(payload["portalId"]), str(payload["objectTypeId"]), list(payload["actions"])
        else:
            raise ValueError("this sandbox records objects and the app's life only")
        subscriptions = self.subscriptions.setdefault(client_id, [])
        for existing in subscriptions:
            if {**existing, "id": None} == {**payload, "id": None}:
                return existing
        made = {**payload, "id": sum(map(len, self.subscriptions.values())) + 1}
        subscriptions.append(made)
        return made

    def notice(self, change: Change) -> None:
        """Record a change for every app that subscribed to it."""
        action = ACTIONS.get(change.action)
        for client_id, subscriptions in self.subscriptions.items():
            if action is not None and any(_covers(each, change, action) for each in subscriptions):
                event = {
                    "type": "OBJECT",
                    "action": action,
                    "portalId": change.hub_id,
                    "occurredAt": int(change.at * 1000),
                    "objectTypeId": change.type.id,
                    "objectId": int(change.object_id),
                }
                if action == "UPDATE":
                    name = change.details["propertyName"]
                    event["propertyChanges"] = {name: change.details["propertyValue"]}
                self._record(client_id, event)

    def record_life(self, client_id: str, hub_id: int, action: str) -> None:
        """Record that an app was installed in a portal, or uninstalled."""
        subscriptions = self.subscriptions.get(client_id, [])
        if any(LIFECYCLE.get(each.get("eventTypeId", "")) == action for each in subscriptions):
            event = {
                "type": "APP_LIFECYCLE_EVENT",
                "action": action,
                "portalId": hub_id,
                "occurredAt": int(self.now() * 1000),
            }
            self._record(client_id, event)

    def newest(self, client_id: str) -> File | None:
        return _read(next(iter(reversed(self._recent_files(client_id))), None))

    def after(self, client_id: str, offset: str | None) -> File | None:
        """The file after an offset, or the oldest. Raises KeyError for an unknown offset."""
        files = self._recent_files(client_id)
        if offset is None:
            return _read(next(iter(files), None))
        names = [each.offset for each in files]
        if offset not in names:
            raise KeyError(offset)
        return _read(next(iter(files[names.index(offset) + 1 :]), None))

    def file(self, offset: str) -> File | None:
        every = (each for files in self.files.values() for each in files)
        return next((each for each in every if each.offset == offset), None)

    def _recent_files(self, client_id: str) -> list[File]:
        files = self.files.get(client_id, [])
        files[:] = [each for each in files if each.published_at > self.now() - RETENTION_S]
        return files

    def _record(self, client_id: str, event: dict[str, Any]) -> None:
        files = self.files.setdefault(client_id, [])
        if files and not files[-1].read and len(files[-1].events) < self.per_file:
            files[-1].events.append(event)
            files[-1].published_at = self.now()
        else:
            files.append(File(str(uuid4()), [event], self.now()))


def _covers(subscription: dict[str, Any], change: Change, action: str) -> bool:
    if subscription["subscriptionType"] != "OBJECT":
        return False
    names = subscription.get("properties") or []
    return (
        int(subscription["portalId"]) == change.hub_id
        and subscription["objectTypeId"] == change.type.id
        and action in subscription["actions"]
        and (action != "UPDATE" or not names or change.details.get("propertyName") in names)
    )


def _read(file: File | None) -> File | None:
    if file is not None:
        file.read = True
    return file
