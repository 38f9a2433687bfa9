"""Wrong fields in words that a person understands."""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import pytest
from pydantic import Field

from broker.errors import InvalidRequest
from broker.recipes.kyb.models import KickoffRequest
from broker.web.core.messages import MESSAGES
from broker.web.core.moments import Moment
from broker.web.core.requests import RequestModel, validate


class Kind(StrEnum):
    ONE = "one"
    TWO = "two"


class Everything(RequestModel):
    text: str = Field(default="x", min_length=1, max_length=3)
    pattern: str = Field(default="a", pattern="^[a-z]$")
    number: int = Field(default=1, ge=1, le=9)
    share: float = Field(default=0.5, gt=0, lt=1)
    flag: bool = True
    items: list[str] = Field(default=["x"], min_length=1, max_length=2)
    choice: Literal["a", "b"] = "a"
    kind: Kind = Kind.ONE
    id: UUID | None = None
    at: Moment | None = None
    either: Annotated[str, Field(pattern=r"^\d+$")] | int = 1


class Needed(RequestModel):
    name: str
    inner: Everything | None = None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("text", "", "must not be empty"),
        ("text", "long text", "must have at most 3 characters"),
        ("text", 1, "must be text"),
        ("text", "\ud800", "must be valid Unicode"),
        ("pattern", "A", "must match ^[a-z]$"),
        ("number", 0, "must be at least 1"),
        ("number", 10, "must be at most 9"),
        ("number", "x", "must be a whole number"),
        ("number", 1.5, "must be a whole number"),
        ("number", "9" * 5000, "is too large"),
        ("share", 0, "must be greater than 0.0"),
        ("share", 1, "must be less than 1.0"),
        ("share", "x", "must be a number"),
        ("flag", "perhaps", "must be true or false"),
        ("items", [], "must not be empty"),
        ("items", ["a", "b", "c"], "must have at most 2 entries"),
        ("items", "a", "must be a list"),
        ("choice", "c", "must be 'a' or 'b'"),
        ("kind", "three", "must be 'one' or 'two'"),
        ("id", "x", "must be a UUID"),
        ("at", "yesterday", "must be a time such as 2026-11-28T09:00:00Z"),
        ("at", "9999-12-31T23:59:59-14:00", "must be in the years 1970 to 2100"),
        ("other", 1, "unknown field"),
    ],
)
def test_a_wrong_field_is_explained(field, value, message):
    with pytest.raises(InvalidRequest) as refused:
        validate(Everything, {field: value})

    assert refused.value.context["errors"][0] == {"field": field, "message": message}


def test_what_is_missing_or_inside_is_named():
    with pytest.raises(InvalidRequest) as refused:
        validate(Needed, {"inner": {"number": 0}})

    assert refused.value.context["errors"] == [
        {"field": "name", "message": "is required"},
        {"field": "inner.number", "message": "must be at least 1"},
    ]


def test_the_members_of_a_union_are_no_fields():
    with pytest.raises(InvalidRequest) as refused:
        validate(Everything, {"either": "x"})

    assert {each["field"] for each in refused.value.context["errors"]} == {"either"}


def test_no_message_speaks_as_the_library_does():
    context = {"min_length": 2, "max_length": 2, "pattern": "^a$", "expected": "'a'"}
    context |= {"le": 1, "lt": 1, "ge": 1, "gt": 1}
    messages = [message(context) for message in MESSAGES.values()]

    assert not [each for each in messages if "should" in each or "Input" in each]


@pytest.mark.parametrize(
    ("value", "message"),
    [("abc", "must be a HubSpot record id: 1 to 20 digits"), ([], "must be text or a number")],
)
def test_a_record_id_is_text_or_a_number_and_its_mistake_is_named_once(value, message):
    with pytest.raises(InvalidRequest) as refused:
        validate(KickoffRequest, {"userForeignIdentifier": "u1", "companyId": value})
    numbered = validate(KickoffRequest, {"userForeignIdentifier": "u1", "companyId": 12})

    assert refused.value.context["errors"] == [{"field": "companyId", "message": message}]
    assert numbered.companyId == "12"
