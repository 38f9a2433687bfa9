"""The named queries of `sql/queries`, each carrying its name so that Postgres shows it."""

import re
from pathlib import Path

_PACKAGED = Path(__file__).parents[3] / "sql"
SQL = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[3] / "sql"
"""Where the SQL is: inside the wheel, or beside the package in a checkout."""


class Queries:
    """Every query by its name, as an attribute."""

    def __init__(self, folder: Path) -> None:
        self.by_name: dict[str, str] = {}
        for file in sorted(folder.rglob("*.sql")):
            for part in re.split(r"^(?=-- name: )", file.read_text(), flags=re.MULTILINE):
                found = re.match(r"-- name: (\w+)\n", part)
                if found is None:
                    continue
                if found[1] in self.by_name:
                    raise ValueError(f"two queries are called {found[1]}")
                body = re.sub(r"^--.*\n", "", part, flags=re.MULTILINE).strip().rstrip(";")
                self.by_name[found[1]] = f"-- {found[1]}\n{body}"

    def __getattr__(self, name: str) -> str:
        try:
            return self.by_name[name]
        except KeyError:
            raise AttributeError(f"there is no query called {name}") from None


sql = Queries(SQL / "queries")
