"""The named queries of `sql/queries`, each carrying its name so that Postgres shows it.

A file may also name a list of columns once (`-- columns: app of app`), or any part of a query
(`-- part: run_record`); queries include it as `{app}`, where each column is qualified by its table.
A query that writes background work says so: `-- wakes: deliveries` where the work is due at once,
`-- plans: deliveries` where it is due later.
"""

import re
from pathlib import Path

_PACKAGED = Path(__file__).parents[2] / "sql"
SQL = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[3] / "sql"
"""Where the SQL is: inside the wheel, or beside the package in a checkout."""


class Queries:
    """Every query by its name, as an attribute."""

    def __init__(self, folder: Path) -> None:
        self.by_name: dict[str, str] = {}
        due: dict[str, frozenset[str]] = {}
        planning: set[str] = set()
        parts: dict[str, str] = {}
        for file in sorted(folder.rglob("*.sql")):
            for part in re.split(
                r"^(?=-- (?:name|columns|part): )", file.read_text(), flags=re.MULTILINE
            ):
                body = re.sub(r"^--.*\n", "", part, flags=re.MULTILINE).strip().rstrip(";")
                if listed := re.match(r"-- columns: (\w+) of (\w+)\n", part):
                    names = [f"{listed[2]}.{name.strip()}" for name in body.split(",")]
                    parts[listed[1]] = ", ".join(names)
                elif included := re.match(r"-- part: (\w+)\n", part):
                    parts[included[1]] = body
                elif found := re.match(r"-- name: (\w+)\n", part):
                    if found[1] in self.by_name:
                        raise ValueError(f"two queries are called {found[1]}")
                    self.by_name[found[1]] = f"-- {found[1]}\n{body}"
                    if wakes := re.search(r"^-- wakes: (.+)$", part, re.MULTILINE):
                        due[found[1]] = frozenset(wakes[1].split(", "))
                    if re.search(r"^-- plans: ", part, re.MULTILINE):
                        planning.add(found[1])

        def whole(text: str) -> str:
            return re.sub(r"\{(\w+)\}", lambda used: whole(parts[used[1]]), text)

        self.by_name = {name: whole(text) for name, text in self.by_name.items()}
        self.due_at_once = {self.by_name[name]: kinds for name, kinds in due.items()}
        """The kinds of background work that queries write which is due at once, by their text."""
        self.due_later = {self.by_name[name] for name in planning}
        """The queries that write background work which is due later."""

    def __getattr__(self, name: str) -> str:
        try:
            return self.by_name[name]
        except KeyError:
            raise AttributeError(f"there is no query called {name}") from None


sql = Queries(SQL / "queries")
