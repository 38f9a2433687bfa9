"""Operations on a portal's records. Every change is published to the listeners."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from broker.sandbox.hubspot.answers import Refused
from broker.sandbox.hubspot.crm.associating import Associating
from broker.sandbox.hubspot.crm.records import Record, Values
from broker.sandbox.hubspot.crm.types import ObjectType
from broker.sandbox.hubspot.crm.values import accepted, moment
from broker.sandbox.hubspot.events.changes import Author, Change
from broker.sandbox.hubspot.portal import Portal

LOCKED = "The record is locked by another operation; try again in two seconds."
PIPELINES = {"0-3": ("pipeline", "dealstage"), "0-5": ("hs_pipeline", "hs_pipeline_stage")}


@dataclass(slots=True)
class Crm:
    """A portal as one author changes it. `lag` is how long search takes to notice, in seconds."""

    portal: Portal
    author: Author
    now: Callable[[], float]
    publish: Callable[[Change], None]
    lag: float = 0.0

    @property
    def associating(self) -> Associating:
        """The same portal's associations, with the same author."""
        return Associating(self.portal, self.author, self.now, self.publish)

    def create(self, kind: ObjectType, payload: dict[str, Any]) -> Record:
        """Make a record with its associations. Refuses with HubSpot's 400s and 409."""
        values = self._accepted(kind, payload.get("properties"))
        self._require(kind, values)
        self._check_unique(kind, values, None)
        associations = self.associating.resolve(kind, payload.get("associations") or [])
        now = self.now()
        stamp = moment(now)
        record = Record(self.portal.new_id(), stamp, stamp)
        system: Values = {"hs_object_id": record.id, kind.modified: stamp}
        system["hs_createdate" if kind.scope == "contacts" else "createdate"] = stamp
        defaults: Values = {"lifecyclestage": "lead"} if kind.id == "0-1" else {}
        record.set({**defaults, **system, **values}, self.author.history(), stamp, now)
        records = self.portal.of(kind)
        records.by_id[record.id] = record
        records.index(record, self.portal.unique(kind))
        self._publish("creation", kind, record.id, {"changeFlag": "NEW"})
        for name, value in values.items():
            self._publish_value(kind, record.id, name, value)
        for to_id, link in associations:
            self.associating.link(record.id, to_id, link)
        return record

    def update(self, kind: ObjectType, record: Record, payload: Any) -> Record:
        """Change properties; an empty string clears one."""
        self._writable(record)
        values = self._accepted(kind, payload)
        self._check_unique(kind, values, record.id)
        now = self.now()
        stamp = moment(now)
        record.catch_up(now, self.lag)
        unique = self.portal.unique(kind)
        self.portal.of(kind).unindex(record, unique)
        changed = record.set(values, self.author.history(), stamp, now)
        record.properties[kind.modified] = stamp
        self.portal.of(kind).index(record, unique)
        for name in changed:
            self._publish_value(kind, record.id, name, values[name])
        return record

    def archive(self, kind: ObjectType, record_id: str) -> None:
        """Archive a record; nothing happens when it is not there, or archived already."""
        record = self.portal.of(kind).get(record_id)
        if record is None or record.archived_at is not None:
            return
        self._writable(record)
        record.archived_at = moment(self.now())
        self.portal.of(kind).unindex(record, self.portal.unique(kind))
        self._publish("deletion", kind, record.id, {"changeFlag": "DELETED"})

    def restore(self, kind: ObjectType, record_id: str) -> Record:
        """Restore an archived record, as a person may do for 90 days."""
        record = self.find(kind, record_id, archived=True)
        record.archived_at = None
        self.portal.of(kind).index(record, self.portal.unique(kind))
        self._publish("restore", kind, record.id, {})
        return record

    def erase(self, kind: ObjectType, record: Record) -> None:
        """Delete a record for good, with everything about it."""
        self.archive(kind, record.id)
        self.purge(kind, record)
        self._publish("privacyDeletion", kind, record.id, {})

    def purge(self, kind: ObjectType, record: Record) -> None:
        """Delete a record without publishing a change."""
        records = self.portal.of(kind)
        records.unindex(record, self.portal.unique(kind))
        records.by_id.pop(record.id, None)
        for to_type, other, link in list(self.portal.links.of_record(kind.id, record.id)):
            self.portal.links.remove(kind.id, record.id, to_type, other, {link.key})

    def merge(self, kind: ObjectType, primary_id: str, other_id: str) -> Record:
        """Take a record into another: its values where the primary has none, its associations."""
        primary, other = self.find(kind, primary_id), self.find(kind, other_id)
        if primary is other:
            raise Refused(400, "Cannot merge an object with itself", "VALIDATION_ERROR")
        missing: Values = {
            name: value
            for name, value in other.properties.items()
            if name not in primary.properties
        }
        records, now = self.portal.of(kind), self.now()
        records.unindex(other, self.portal.unique(kind))
        primary.set(missing, self.author.history(), moment(now), now)
        merged = ";".join(
            [*filter(None, [primary.properties.get("hs_merged_object_ids")]), other.id]
        )
        primary.properties["hs_merged_object_ids"] = merged
        for to_type, to_id, link in list(self.portal.links.of_record(kind.id, other.id)):
            self.portal.links.remove(kind.id, other.id, to_type, to_id, {link.key})
            self.portal.links.add(primary.id, to_id, link)
        del records.by_id[other.id]
        records.aliases[other.id] = primary.id
        records.index(primary, self.portal.unique(kind))
        details = {
            "primaryObjectId": int(primary.id),
            "mergedObjectIds": [int(other.id)],
            "newObjectId": int(primary.id),
            "numberOfPropertiesMoved": len(missing),
        }
        self._publish("merge", kind, primary.id, details)
        return primary

    def find(
        self,
        kind: ObjectType,
        value: str,
        by: str | None = None,
        *,
        archived: bool = False,
    ) -> Record:
        """A record by its id or by a unique property. Refuses with HubSpot's 404s."""
        records = self.portal.of(kind)
        if by is None and not value.isdecimal():
            raise Refused(
                404,
                "Object not found.  objectId are usually numeric.",
                "OBJECT_NOT_FOUND",
                context={"id": [value]},
            )
        if by is not None and by not in {*self.portal.unique(kind), "hs_object_id"}:
            raise Refused(
                400, f"The property {by} is not a unique identifier property", "VALIDATION_ERROR"
            )
        by_value = by is not None and by != "hs_object_id"
        record_id = records.holding(by or "", value) if by_value else value
        record = records.get(record_id) if record_id else None
        if record is None or (record.archived_at is not None) != archived:
            raise Refused(404, "resource not found")
        return record

    def _accepted(self, kind: ObjectType, payload: Any) -> Values:
        taken = accepted(
            payload,
            self.portal.live_definitions(kind),
            self.portal.hub_id,
            self.portal.choices(kind),
        )
        pipeline, stage = PIPELINES.get(kind.id, ("", ""))
        if taken.get(stage) and pipeline not in taken:
            taken[pipeline] = self._pipeline_of(kind, str(taken[stage]))
        return taken

    def _pipeline_of(self, kind: ObjectType, stage: str) -> str:
        for number, pipeline in self.portal.pipelines[kind.id].items():
            if any(each["id"] == stage for each in pipeline["stages"]):
                return number
        return ""

    def _require(self, kind: ObjectType, values: Values) -> None:
        required = self.portal.schemas.get(kind.id, {}).get("requiredProperties", [])
        missing = [name for name in required if not values.get(name)]
        if missing:
            raise Refused(
                400,
                f"Error creating {kind.singular.upper()}. Some required properties were not set.",
                "VALIDATION_ERROR",
                context={"properties": missing},
            )

    def _check_unique(self, kind: ObjectType, values: Values, own_id: str | None) -> None:
        for name in self.portal.unique(kind):
            holder = self.portal.of(kind).holding(name, values.get(name) or "")
            if holder is None or holder == own_id:
                continue
            if (kind.id, name) == ("0-1", "email"):
                message = f"Contact already exists. Existing ID: {holder}"
                raise Refused(409, message, "CONFLICT")
            message = (
                f"Cannot set PropertyValueCoordinates{{portalId={self.portal.hub_id}, "
                f"objectTypeId={kind.id}, propertyName={name}, value={values[name]}}} on "
                f"{own_id or 'a new object'}. {holder} already has that value."
            )
            raise Refused(400, message, "VALIDATION_ERROR")

    def _writable(self, record: Record) -> None:
        if record.locked_until > self.now():
            raise Refused(423, LOCKED, "LOCKED")

    def _publish_value(
        self, kind: ObjectType, record_id: str, name: str, value: str | None
    ) -> None:
        details = {"propertyName": name, "propertyValue": value or ""}
        self._publish("propertyChange", kind, record_id, details)

    def _publish(
        self, action: str, kind: ObjectType, record_id: str, details: dict[str, Any]
    ) -> None:
        change = Change(
            action, self.portal.hub_id, kind, record_id, self.now(), self.author, details
        )
        self.publish(change)
