"""What the API's fields mean, and examples: data files beside the code that they describe."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "reference.toml"


@dataclass(frozen=True, slots=True)
class Reference:
    """`fields` by name or `Model.field`, `paths` by the name of a part of a path; `examples` of
    bodies by model; `values` of parameters by name.
    """

    fields: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    examples: dict[str, dict[str, Any]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folders: Iterable[Path]) -> "Reference":
        """The files of some folders as one. What an earlier one says of a field holds."""
        found = cls()
        for folder in folders:
            path = folder / FILE
            if not path.is_file():
                continue
            read = tomllib.loads(path.read_text())
            for part in ("fields", "paths", "examples", "values"):
                present = getattr(found, part)
                present.update({**read.get(part, {}), **present})
        return found

    def describe(self, schemas: Mapping[str, Any]) -> None:
        """Add what the fields mean to JSON schemas by name, where they do not say it themselves."""
        for model, schema in schemas.items():
            for name, each in schema.get("properties", {}).items():
                meaning = self.fields.get(f"{model}.{name}") or self.fields.get(name)
                if meaning is not None and "description" not in each:
                    each["description"] = meaning
