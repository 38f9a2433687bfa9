"""Connections: pages by cursor, where a cursor is a place in the sort order, not a number."""

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any

from graphql import GraphQLError

MOST = 250
Key = tuple[Any, int]


def connection(
    rows: Iterable[Any],
    node: Callable[[Any], Any],
    key: Callable[[Any], Key],
    *,
    first: int | None = None,
    last: int | None = None,
    after: str | None = None,
    before: str | None = None,
    reverse: bool = False,
) -> dict[str, Any]:
    """A page of rows. `key` is what they are sorted by, with an id that tells equals apart.

    Raises GraphQLError where Shopify refuses: no size, a size over 250, a cursor that is not one.
    """
    size = first if first is not None else last
    if size is None:
        raise _bad("you must provide one of first or last")
    if first is not None and last is not None:
        raise _bad("providing both first and last is not supported")
    if size < 0 or size > MOST:
        raise _bad(f"first and last must be between 0 and {MOST}")
    ordered = sorted(rows, key=key, reverse=reverse)
    start, end = 0, len(ordered)
    if after is not None:
        position = _decode(after)
        start = sum(1 for row in ordered if not _beyond(key(row), position, reverse))
    if before is not None:
        position = _decode(before)
        end = sum(1 for row in ordered if _beyond(position, key(row), reverse))
    page = ordered[start:end]
    cut = page[:size] if first is not None else page[len(page) - min(size, len(page)) :]
    begin = start if first is not None else end - len(cut)
    cursors = [_cursor(key(row)) for row in cut]
    nodes = [node(row) for row in cut]
    return {
        "nodes": nodes,
        "edges": [
            {"cursor": cursor, "node": each} for cursor, each in zip(cursors, nodes, strict=True)
        ],
        "pageInfo": {
            "hasNextPage": begin + len(cut) < len(ordered),
            "hasPreviousPage": begin > 0,
            "startCursor": cursors[0] if cursors else None,
            "endCursor": cursors[-1] if cursors else None,
        },
    }


def _beyond(one: Key, other: Key, reverse: bool) -> bool:
    try:
        return one < other if reverse else one > other
    except TypeError as error:
        raise _bad("Invalid cursor for current pagination sort.") from error


def _cursor(key: Key) -> str:
    value, number = key
    return base64.b64encode(json.dumps({"last_id": number, "last_value": value}).encode()).decode()


def _decode(cursor: str) -> Key:
    try:
        read = json.loads(base64.b64decode(cursor, validate=True))
        return read["last_value"], int(read["last_id"])
    except (KeyError, TypeError, ValueError) as error:
        raise _bad("Invalid cursor for current pagination sort.") from error


def _bad(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": "BAD_REQUEST"})
