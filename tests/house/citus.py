"""What a Citus cluster would refuse of a statement, or run on every node, told from its text alone.

The rules were found on Citus 13.2. They are right on plain Postgres too, so they hold everywhere.
"""

from collections.abc import Iterator

import sqlglot
from sqlglot import exp

VOLATILE = {"random", "clock_timestamp", "gen_random_uuid"}
CLOCK = (exp.CurrentTimestamp, exp.CurrentTimestampLTZ)


def refusals(query: str) -> list[str]:
    """Why Citus would not run a query, one reason a line; empty when it would."""
    tree = sqlglot.parse_one(query, read="postgres")
    return [*_locks(tree), *_positions(tree), *_times(tree)]


def unpinned(query: str, tables: set[str]) -> list[str]:
    """The tables of a query that do not name the workspace by a parameter."""
    tree = sqlglot.parse_one(query, read="postgres")
    return sorted({table.name for scope in _scopes(tree) for table in _open_tables(scope, tables)})


def shape_of(query: str) -> str:
    """What kind of statement reaches across workspaces: a `look` (a SELECT with a LIMIT that locks
    nothing), `totals` (a SELECT of aggregates or of few rows), a `sweep` (a DELETE or UPDATE that
    is bounded by a LIMIT or a constant age), or a `list` (an INSERT of what is listed).
    """
    tree = sqlglot.parse_one(query, read="postgres")
    if isinstance(tree, exp.Insert):
        return "list"
    if isinstance(tree, exp.Update | exp.Delete):
        return "sweep"
    if any(select.args.get("locks") for select in tree.find_all(exp.Select)):
        return "lock"
    return "look" if tree.args.get("limit") else "totals"


def _scopes(tree: exp.Expression) -> Iterator[exp.Expression]:
    yield from tree.find_all(exp.Select, exp.Update, exp.Delete, exp.Insert)


def _own_tables(scope: exp.Expression) -> list[exp.Table]:
    """The tables that a statement names itself, not in a statement inside of it."""
    return [table for table in scope.find_all(exp.Table) if _owner(table) is scope]


def _owner(node: exp.Expression) -> exp.Expression | None:
    return node.find_ancestor(exp.Select, exp.Update, exp.Delete, exp.Insert)


def _open_tables(scope: exp.Expression, tables: set[str]) -> list[exp.Table]:
    """Tables of a statement that no parameter pins, not even through another table of it."""
    own = [table for table in _own_tables(scope) if table.name in tables]
    if isinstance(scope, exp.Insert):
        return [] if _inserts_pinned(scope, tables) else own
    known = {table.alias_or_name: table.name for table in own}
    pinned: set[str] = set()
    equal: list[tuple[str, str]] = []
    for equality in _conditions(scope):
        sides = [_tenant(side, known) for side in (equality.left, equality.right)]
        for side, other in zip(sides, (equality.right, equality.left), strict=True):
            if side is not None and _is_parameter(other):
                pinned.add(side)
        if sides[0] is not None and sides[1] is not None:
            equal.append((sides[0], sides[1]))
    for _ in equal:
        for first, second in equal:
            if {first, second} & pinned:
                pinned |= {first, second}
    return [table for table in own if table.alias_or_name not in pinned]


def _conditions(scope: exp.Expression) -> Iterator[exp.EQ]:
    """Equalities that must all hold, of a statement's own WHERE and joins."""
    for clause in (scope.args.get("where"), *scope.find_all(exp.Join)):
        if clause is None or (isinstance(clause, exp.Join) and _owner(clause) is not scope):
            continue
        condition = clause.this if isinstance(clause, exp.Where) else clause.args.get("on")
        for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
            if isinstance(part, exp.EQ):
                yield part


def _tenant(side: exp.Expression, known: dict[str, str]) -> str | None:
    """The table whose workspace a column is."""
    if not isinstance(side, exp.Column):
        return None
    table = side.table or (next(iter(known)) if len(known) == 1 else "")
    if table not in known:
        return None
    column = "id" if known[table] == "workspace" else "workspace_id"
    return table if side.name == column else None


def _is_parameter(side: exp.Expression) -> bool:
    return isinstance(side.unnest(), exp.Parameter)


def _inserts_pinned(insert: exp.Insert, tables: set[str]) -> bool:
    """Whether an INSERT writes rows of one workspace in its shard: VALUES with the workspace first,
    or a SELECT of the workspace column of a table that is pinned."""
    columns = [column.name for column in insert.this.expressions]
    leading = "id" if insert.this.find(exp.Table).name == "workspace" else "workspace_id"
    if leading not in columns:
        return False
    source = insert.expression
    if isinstance(source, exp.Values):
        return all(
            _is_parameter(row.expressions[columns.index(leading)]) for row in source.expressions
        )
    if not isinstance(source, exp.Select):
        return False
    value = source.expressions[columns.index(leading)].unalias()
    return isinstance(value, exp.Column) and any(
        table.name in tables for table in _own_tables(source)
    )


def _locks(tree: exp.Expression) -> Iterator[str]:
    for select in tree.find_all(exp.Select):
        if not select.args.get("locks"):
            continue
        if isinstance(select.parent, exp.Insert):
            yield "locks rows in INSERT .. SELECT"
        elif not _names_workspace(select):
            yield "locks rows across workspaces"


def _positions(tree: exp.Expression) -> Iterator[str]:
    for column in tree.find_all(exp.Column):
        if column.name == "ctid" and not _pinned_around(column):
            yield "looks for rows by ctid across workspaces"
            break
    for lateral in tree.find_all(exp.Lateral):
        if lateral.find(exp.Limit) and not _pinned_around(lateral.this.find(exp.Limit)):
            yield "has LATERAL .. LIMIT across workspaces"
    for exists in tree.find_all(exp.Exists):
        select = exists.this
        own = {column.name for column in select.find_all(exp.Column)}
        if select.find(exp.Table) and not select.expressions and "workspace_id" not in own:
            yield "selects no column across workspaces"


def _pinned_around(node: exp.Expression) -> bool:
    scope = _owner(node)
    while scope is not None:
        if _names_workspace(scope):
            return True
        scope = _owner(scope)
    return False


def _names_workspace(scope: exp.Expression) -> bool:
    return any(
        isinstance(side, exp.Column) and side.name == "workspace_id" and _is_parameter(other)
        for equality in _conditions(scope)
        for side, other in ((equality.left, equality.right), (equality.right, equality.left))
    )


def _times(tree: exp.Expression) -> Iterator[str]:
    for returning in tree.find_all(exp.Returning):
        if _computes(returning):
            yield "computes a time in RETURNING"
    for conflict in tree.find_all(exp.OnConflict):
        if _computes(conflict):
            yield "computes a time in ON CONFLICT"
    for update in tree.find_all(exp.Update):
        for setting in update.expressions:
            value = setting.expression
            if any(_computes(part) for part in value.find_all(exp.Case, exp.Coalesce)):
                yield "computes a time in CASE or COALESCE"
            elif _computes(value) and value.find(exp.Column):
                yield "computes a time beside a column"
            elif any(_is_volatile(part) for part in value.find_all(exp.Func)):
                yield "calls a volatile function in SET"


def _computes(node: exp.Expression) -> bool:
    return any(isinstance(part, CLOCK) or _is_volatile(part) for part in node.find_all(exp.Func))


def _is_volatile(part: exp.Expression) -> bool:
    return part.sql("postgres").partition("(")[0].lower() in VOLATILE
