"""The nouns of running, and all that a recipe knows of it: steps, turns, and "not now".

A recipe is a list of steps. A step is an async function of a `Turn`; what it returns (a JSON
object) is stored before the next step begins, and never asked for again. It may be asked twice for
one outcome when a process stops in between, so a step that changes something outside says so
(`effect`) and is written to bear it: by a key, by an upsert, or by looking first. It ends otherwise
by raising: `Later` to be asked again at a time of its choosing, a BrokerError to fail.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from broker.domain.model import Secret
from broker.errors import BrokerError


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a recipe for one subject, claimed: whoever has it takes the next step.
    `claim` is the fence.
    """

    workspace_id: UUID
    id: UUID
    app_id: UUID
    app_slug: str
    recipe: str
    version: int
    subject: str
    user_ref: str | None
    hub_id: int | None
    input: Mapping[str, Any]
    claim: int


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a step is given: the run, what the steps before gave, and its own memory.

    `note` is what it left when it was put off. `unsure` says that an earlier attempt began of which
    nobody learnt whether it changed anything outside.
    """

    run: Run
    outcomes: Mapping[str, Mapping[str, Any]]
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    outcome_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a recipe; its name is what is stored, so it is never given to another."""

    name: str
    run: Callable[[StepContext], Awaitable[Mapping[str, Any]]]
    has_side_effect: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named list of steps. `finish` makes a run's result of what they gave. A program leaves
    runs of a higher `version` than it knows to a newer one.
    """

    name: str
    version: int
    steps: Sequence[Step]
    build_result: Callable[[StepContext], Mapping[str, Any]]

    @property
    def side_effects(self) -> list[str]:
        """The steps that change something outside."""
        return [step.name for step in self.steps if step.has_side_effect]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run is asked for. There is one run for each app, recipe and subject."""

    workspace_id: UUID
    app_id: UUID
    recipe: str
    subject: str
    user_ref: str | None
    hub_id: int | None
    input: Mapping[str, Any]


class RetryLater(Exception):
    """Not now: ask this step again after some seconds, with this note. Nothing has failed."""

    def __init__(self, after_s: float, why: str, note: Mapping[str, Any] | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s
        self.reason = why
        self.checkpoint = note


class PermanentFailure(Exception):
    """A refusal that only a person can help, with a note for the attempt after that help."""

    def __init__(self, refusal: BrokerError, note: Mapping[str, Any]) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.checkpoint = note


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step as people look at it."""

    name: str
    state: str
    attempts: int
    failures: int
    error: str | None
    outcome: Mapping[str, Any] | None
    checkpoint: Mapping[str, Any]
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as people look at it: running, done with a result, or failed with a problem."""

    id: UUID
    number: int
    app_slug: str
    recipe: str
    subject: str
    user_ref: str | None
    hub_id: int | None
    state: str
    result: Mapping[str, Any] | None
    problem: Mapping[str, Any] | None
    due_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class RecipeSetting:
    """What an app wants of a recipe, with the vendor's secrets by their names."""

    app_id: UUID
    settings: Mapping[str, Any]
    secrets: Mapping[str, Secret]
    created_at: datetime
    updated_at: datetime


# A vendor's trouble.


class VendorUnavailable(BrokerError):
    """The vendor of a recipe cannot be reached, or does not answer as it should."""

    code = "vendor-unavailable"
    status = 502


class VendorCredentialsRefused(BrokerError):
    """The vendor refuses the recipe's client id and secret."""

    code = "vendor-credentials-refused"
    status = 502


class VendorScopeMissing(BrokerError):
    """The vendor's client lacks a scope that the recipe needs."""

    code = "vendor-scope-missing"
    status = 502
