"""Secrets in a recipe's settings: fields that are sealed when stored and never shown."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, PlainSerializer, PlainValidator, WithJsonSchema

from broker.domain.model import Secret
from broker.web.core.requests import CONTROL

MAX_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class SecretRule:
    """Marks a field as a secret. A needed one must be sent the first time."""

    needed: bool


def _read(value: Any) -> Secret | None:
    if value is None or isinstance(value, Secret):
        return value
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_LENGTH or CONTROL.search(value):
        raise ValueError(f"must be a text of 1 to {MAX_LENGTH} characters")
    return Secret(value)


_FIELD = (
    PlainValidator(_read),
    PlainSerializer(lambda _: None),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "format": "password"},
                {"type": "null"},
            ],
            "writeOnly": True,
        }
    ),
)

NeededSecret = Annotated[Secret | None, *_FIELD, SecretRule(needed=True)]
"""A secret without which the recipe cannot run. Left out of a later PUT, the stored one stays."""

OptionalSecret = Annotated[Secret | None, *_FIELD, SecretRule(needed=False)]
"""A secret that the recipe can do without. Left out of a PUT, the stored one stays."""


def secret_fields(model: type[BaseModel]) -> dict[str, SecretRule]:
    """The secrets among a model's fields, by name."""
    return {
        name: rule
        for name, field in model.model_fields.items()
        for rule in field.metadata
        if isinstance(rule, SecretRule)
    }
