"""Associating records: which associations are allowed, and the changes they publish."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from broker.sandbox.hubspot.answers import Refused
from broker.sandbox.hubspot.crm.links import LinkType
from broker.sandbox.hubspot.crm.types import ObjectType
from broker.sandbox.hubspot.events.changes import Author, Change
from broker.sandbox.hubspot.portal import Portal


@dataclass(slots=True)
class Associating:
    """A portal's associations as one author changes them."""

    portal: Portal
    author: Author
    now: Callable[[], float]
    publish: Callable[[Change], None]

    def resolve(self, kind: ObjectType, associations: list[Any]) -> list[tuple[str, LinkType]]:
        """The associations that a create request names, each checked before any is made."""
        found: list[tuple[str, LinkType]] = []
        for each in associations:
            to_id = str(each["to"]["id"])
            for spec in each.get("types") or []:
                link = self.spec(kind, spec)
                self.exists(link.to_type, to_id)
                found.append((to_id, link))
        return found

    def spec(self, kind: ObjectType, spec: dict[str, Any], target: str | None = None) -> LinkType:
        """The kind of association that a request names, seen from a type."""
        category = spec.get("associationCategory") or spec.get("category") or "HUBSPOT_DEFINED"
        number = spec.get("associationTypeId", spec.get("typeId"))
        link = self.portal.links.find_type(f"{category}:{number}")
        if link is None:
            message = f"No association type with id {number} and category {category}"
            raise Refused(400, message, "VALIDATION_ERROR")
        if link.from_type != kind.id:
            message = (
                f"invalid from object type {kind.id} for associations to be created. "
                f"expected: {link.from_type}"
            )
            raise Refused(400, message, "VALIDATION_ERROR")
        if target is not None and link.to_type != target:
            message = (
                f"invalid to object type {target} for associations to be created. "
                f"expected: {link.to_type}"
            )
            raise Refused(400, message, "VALIDATION_ERROR")
        return link

    def plain(self, source: ObjectType, target: ObjectType) -> LinkType:
        """The unlabelled kind between two types."""
        link = self.portal.links.plain(source.id, target.id)
        if link is None:
            message = f"No association type between {source.id} and {target.id}"
            raise Refused(400, message, "VALIDATION_ERROR")
        return link

    def exists(self, type_id: str, record_id: str) -> None:
        """Refuse an association with a record that is not there."""
        kind = self.portal.type(type_id)
        record = self.portal.of(kind).get(record_id) if kind else None
        if record is None or record.archived_at is not None:
            name = kind.singular.upper() if kind else type_id
            raise Refused(
                400,
                "One or more associations are invalid",
                "VALIDATION_ERROR",
                context={
                    "INVALID_OBJECT_IDS": [f"{name}={record_id} is not valid"],
                    "objectId": [record_id],
                    "objectType": [name],
                },
            )

    def link(self, from_id: str, to_id: str, link: LinkType) -> None:
        """Associate two records; the first of a pair that knows a primary becomes it."""
        links = self.portal.links
        before = links.of(link.from_type, from_id, link.to_type)
        has_primary = any(kind.label == "Primary" for kinds in before.values() for kind in kinds)
        kinds = [link]
        plain = links.plain(link.from_type, link.to_type)
        if link.label and plain is not None:
            kinds.append(plain)
        if not has_primary:
            every = links.between(link.from_type, link.to_type)
            kinds += [each for each in every if each.label == "Primary" and each is not link]
        new = False
        for each in kinds:
            new = links.add(from_id, to_id, each) or new
        if new:
            primary = any(each.label == "Primary" for each in kinds)
            self._publish(link, from_id, to_id, removed=False, primary=primary)

    def unlink(
        self,
        source: ObjectType,
        from_id: str,
        target: ObjectType,
        to_id: str,
        only: set[str] | None = None,
    ) -> None:
        """Take two records apart, altogether or only some labels."""
        if self.portal.links.remove(source.id, from_id, target.id, to_id, only):
            plain = self.portal.links.plain(source.id, target.id)
            if plain is not None:
                self._publish(plain, from_id, to_id, removed=True, primary=False)

    def _publish(
        self, link: LinkType, from_id: str, to_id: str, *, removed: bool, primary: bool
    ) -> None:
        for here, there, source, target in (
            (from_id, to_id, link.from_type, link.to_type),
            (to_id, from_id, link.to_type, link.from_type),
        ):
            kind, other = self.portal.type(source), self.portal.type(target)
            if kind is None or other is None:
                continue
            details = {
                "associationType": f"{kind.singular}_TO_{other.singular}".upper(),
                "fromObjectId": int(here),
                "toObjectId": int(there),
                "associationRemoved": removed,
                "isPrimaryAssociation": primary,
            }
            change = Change(
                "associationChange",
                self.portal.hub_id,
                kind,
                here,
                self.now(),
                self.author,
                details,
            )
            self.publish(change)
