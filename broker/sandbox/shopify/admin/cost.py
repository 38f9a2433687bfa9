"""Points: the most that a query can cost, what it did cost, and the bucket that pays.

An object costs 1, a scalar nothing, a connection 2 and its nodes, a mutation 10; the requested cost
is charged at once, and what was not needed is refunded. Shopify is known to count large
pages at less than their size (250 nodes of 2 points were 25); the sandbox counts them in full.
"""

from collections.abc import Iterator
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

MUTATION = 10
CONNECTION = 2
_AT_MOST = object()


class Meter:
    """The points of one operation."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        variables: dict[str, Any],
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = fragments
        self._variables = variables

    def requested(self) -> int:
        """What the operation may cost at most."""
        return self._root(_AT_MOST)

    def actual(self, data: Any) -> int:
        """What the operation did cost, by its answer."""
        return self._root(data)

    def _root(self, data: Any) -> int:
        root, selections = self._schema.query_type, self._operation.selection_set
        if self._operation.operation.value == "mutation":
            return MUTATION * sum(1 for _ in self._fields(selections))
        return 0 if root is None else self._inside(selections, root, data)

    def _inside(self, selections: SelectionSetNode | None, kind: Any, data: Any) -> int:
        total = 0
        for each in self._fields(selections):
            field = kind.fields.get(each.name.value)
            inner = None if field is None else get_named_type(field.type)
            if not isinstance(inner, GraphQLObjectType):
                continue
            value = data
            if data is not _AT_MOST:
                name = each.alias.value if each.alias else each.name.value
                value = data.get(name) if isinstance(data, dict) else None
                if value is None:
                    continue
            if inner.name.endswith("Connection"):
                total += CONNECTION + self._nodes(each, inner, value)
            elif value is not _AT_MOST and isinstance(value, list):
                total += sum(1 + self._inside(each.selection_set, inner, row) for row in value)
            else:
                size = self._size(each) or 1
                total += size * (1 + self._inside(each.selection_set, inner, value))
        return total

    def _nodes(self, connection: FieldNode, kind: GraphQLObjectType, data: Any) -> int:
        total, size = 0, self._size(connection)
        for each in self._fields(connection.selection_set):
            name = each.name.value
            if name not in {"nodes", "edges"}:
                continue
            inner: Any = get_named_type(kind.fields[name].type)
            shown = each.alias.value if each.alias else name
            own = 1 if name == "nodes" else 0
            if data is _AT_MOST:
                total += size * (own + self._inside(each.selection_set, inner, _AT_MOST))
            else:
                rows = data.get(shown, [])
                total += sum(own + self._inside(each.selection_set, inner, row) for row in rows)
        return total

    def _size(self, field: FieldNode) -> int:
        for argument in field.arguments or ():
            if argument.name.value in {"first", "last"}:
                if isinstance(argument.value, IntValueNode):
                    return int(argument.value.value)
                if isinstance(argument.value, VariableNode):
                    value = self._variables.get(argument.value.name.value)
                    return value if isinstance(value, int) else 0
        return 0

    def _fields(self, selections: SelectionSetNode | None) -> Iterator[FieldNode]:
        for each in selections.selections if selections is not None else ():
            if isinstance(each, FieldNode):
                yield each
            elif isinstance(each, InlineFragmentNode):
                yield from self._fields(each.selection_set)
            elif isinstance(each, FragmentSpreadNode):
                yield from self._fields(self._fragments[each.name.value].selection_set)


class Buckets:
    """The points of each app in each shop, which fill up again with time."""

    def __init__(self, levels: dict[tuple[str, str], tuple[float, float]]) -> None:
        self._levels = levels

    def level(self, key: tuple[str, str], now: float, most: float, restored: float) -> float:
        """The points that are there now."""
        level, at = self._levels.get(key, (most, now))
        return min(most, level + max(0.0, now - at) * restored)

    def put(self, key: tuple[str, str], level: float, now: float) -> None:
        """Leave so many points."""
        self._levels[key] = (level, now)
