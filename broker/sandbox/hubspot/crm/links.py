"""Which records belong together, and by which kinds of association.

Type ids: https://developers.hubspot.com/docs/guides/api/crm/associations/associations-v4
("association type id values").
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

HUBSPOT, USER = "HUBSPOT_DEFINED", "USER_DEFINED"


@dataclass(slots=True)
class LinkType:
    """One kind of association in one direction. `inverse` is its id seen from the other side."""

    id: int
    inverse: int
    from_type: str
    to_type: str
    name: str
    category: str = HUBSPOT
    label: str | None = None

    @property
    def key(self) -> str:
        return f"{self.category}:{self.id}"


_NAMES = {
    "0-1": "contact",
    "0-2": "company",
    "0-3": "deal",
    "0-5": "ticket",
    "0-8": "line_item",
    "0-27": "task",
    "0-46": "note",
    "0-47": "meeting",
    "0-48": "call",
    "0-49": "email",
}
# from type, to type, id, id seen from the other side; "p" marks a primary association
_TABLE = """
0-1 0-2 279 280|0-1 0-2 1 2 p|0-3 0-2 341 342|0-3 0-2 5 6 p|0-5 0-2 339 340|0-5 0-2 26 25 p
0-3 0-1 3 4|0-1 0-5 15 16|0-3 0-5 27 28|0-1 0-1 449 449|0-2 0-2 450 450|0-3 0-3 451 451
0-5 0-5 452 452|0-3 0-8 19 20
0-46 0-1 202 201|0-46 0-2 190 189|0-46 0-3 214 213|0-46 0-5 228 227
0-27 0-1 204 203|0-27 0-2 192 191|0-27 0-3 216 215|0-27 0-5 230 229
0-48 0-1 194 193|0-48 0-2 182 181|0-48 0-3 206 205|0-48 0-5 220 219
0-49 0-1 198 197|0-49 0-2 186 185|0-49 0-3 210 209|0-49 0-5 224 223
0-47 0-1 200 199|0-47 0-2 188 187|0-47 0-3 212 211|0-47 0-5 226 225
"""


def _built_in() -> dict[str, LinkType]:
    rows = [row.split() for row in _TABLE.replace("\n", "|").split("|") if row.strip()]
    with_primary = {frozenset(row[:2]) for row in rows if row[-1] == "p"}
    made: dict[str, LinkType] = {}
    for start, end, number, inverse, *primary in rows:
        plain = "" if primary or frozenset((start, end)) not in with_primary else "_unlabeled"
        label = "Primary" if primary else None
        for source, target, here, there in (
            (start, end, int(number), int(inverse)),
            (end, start, int(inverse), int(number)),
        ):
            name = f"{_NAMES[source]}_to_{_NAMES[target]}{plain}"
            each = LinkType(here, there, source, target, name, label=label)
            made.setdefault(each.key, each)
    return made


BUILT_IN = _built_in()


@dataclass(slots=True)
class Links:
    """A portal's associations: `pairs` by "from type/from id/to type", then by the other id."""

    pairs: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    own: dict[str, LinkType] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    next_id: int = 1

    def find_type(self, key: str) -> LinkType | None:
        return BUILT_IN.get(key) or self.own.get(key)

    def between(self, from_type: str, to_type: str) -> list[LinkType]:
        """The kinds of association from one type to another."""
        return [
            each
            for each in (*BUILT_IN.values(), *self.own.values())
            if (each.from_type, each.to_type) == (from_type, to_type)
        ]

    def plain(self, from_type: str, to_type: str) -> LinkType | None:
        """The unlabelled kind between two types."""
        return next((each for each in self.between(from_type, to_type) if not each.label), None)

    def define(
        self,
        from_type: str,
        to_type: str,
        name: str,
        label: str | None = None,
        inverse_label: str | None = None,
    ) -> list[LinkType]:
        """Make a kind of association and its other side."""
        same = from_type == to_type and inverse_label in {None, label}
        number, inverse = self.next_id, self.next_id if same else self.next_id + 1
        self.next_id = inverse + 1
        made = [LinkType(number, inverse, from_type, to_type, name, USER, label)]
        if not same:
            other = inverse_label if inverse_label is not None else label
            made.append(LinkType(inverse, number, to_type, from_type, name, USER, other))
        self.own.update({each.key: each for each in made})
        return made

    def purge(self, kind: LinkType) -> None:
        """Remove a kind with its other side, and every association of it."""
        for key in {kind.key, f"{kind.category}:{kind.inverse}"}:
            self.own.pop(key, None)
            for others in self.pairs.values():
                for keys in others.values():
                    if key in keys:
                        keys.remove(key)

    def of(self, from_type: str, from_id: str, to_type: str) -> dict[str, list[LinkType]]:
        """The records that a record is associated with, by id, each with its association types."""
        linked = self.pairs.get(f"{from_type}/{from_id}/{to_type}", {})
        return {
            other: [kind for kind in map(self.find_type, keys) if kind is not None]
            for other, keys in linked.items()
            if keys
        }

    def add(self, from_id: str, to_id: str, kind: LinkType) -> bool:
        """Associate two records, seen from both; whether that was new."""
        new = self._put(kind.from_type, from_id, kind.to_type, to_id, kind.key)
        inverse = f"{kind.category}:{kind.inverse}"
        self._put(kind.to_type, to_id, kind.from_type, from_id, inverse)
        return new

    def remove(
        self, from_type: str, from_id: str, to_type: str, to_id: str, only: set[str] | None = None
    ) -> bool:
        """Take associations away, all or only some kinds; whether there were any."""
        keys = self.pairs.get(f"{from_type}/{from_id}/{to_type}", {}).get(to_id, [])
        gone = [key for key in keys if only is None or key in only]
        back = self.pairs.get(f"{to_type}/{to_id}/{from_type}", {}).get(from_id, [])
        for key in gone:
            keys.remove(key)
            kind = self.find_type(key)
            inverse = f"{kind.category}:{kind.inverse}" if kind else key
            if inverse in back and back is not keys:
                back.remove(inverse)
        return bool(gone)

    def of_record(self, type_id: str, record_id: str) -> Iterator[tuple[str, str, LinkType]]:
        """Every association of a record: the other's type, its id, the kind."""
        for key_pair in list(self.pairs):
            if key_pair.startswith(f"{type_id}/{record_id}/"):
                to_type = key_pair.rpartition("/")[2]
                for other, kinds in self.of(type_id, record_id, to_type).items():
                    for kind in kinds:
                        yield to_type, other, kind

    def _put(self, from_type: str, from_id: str, to_type: str, to_id: str, key: str) -> bool:
        others = self.pairs.setdefault(f"{from_type}/{from_id}/{to_type}", {})
        keys = others.setdefault(to_id, [])
        if key in keys:
            return False
        keys.append(key)
        return True
