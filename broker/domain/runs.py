"""Value types for runs, and all that a recipe knows of running: steps, their context, and how a
step ends.

A recipe is a list of steps. A step is an async function of a `StepContext`; what it returns (a JSON
object) is stored before the next step begins, and the step is not run again. It may run twice for
one outcome when a process stops in between, so a step that changes something outside says so
(`has_side_effect`) and is idempotent: by a key, by an upsert, or by looking first. It ends
otherwise by raising: `RetryLater` to run again later, a BrokerError to fail.
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
    """One execution of a recipe for one subject, claimed by this process. `claim` is the fence."""

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
    """What a step works with: the run, the outcomes of the steps before, and its own checkpoint.

    `checkpoint` is what it left when it was rescheduled. `outcome_unknown`: an earlier attempt may
    have changed something outside; its end is not known.
    """

    run: Run
    outcomes: Mapping[str, Mapping[str, Any]]
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    outcome_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a recipe. Its name is stored: it is never reused for another step."""

    name: str
    run: Callable[[StepContext], Awaitable[Mapping[str, Any]]]
    has_side_effect: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named list of steps. `build_result` makes a run's result of their outcomes. A process
    leaves runs of a higher `version` than it knows to a newer one.
    """

    name: str
    version: int
    steps: Sequence[Step]
    build_result: Callable[[StepContext], Mapping[str, Any]]

    @property
    def side_effects(self) -> list[str]:
        """The names of steps that change something outside."""
        return [step.name for step in self.steps if step.has_side_effect]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run that should exist. There is one for each app, recipe and subject; it acts for the user
    in this HubSpot account only.
    """

    workspace_id: UUID
    app_id: UUID
    recipe: str
    subject: str
    user_ref: str | None
    hub_id: int | None
    input: Mapping[str, Any]
    triggered_at: datetime | None = None
    """When what the run follows happened elsewhere; None for now."""


class RetryLater(Exception):
    """Run this step again after some seconds, with this checkpoint. Nothing has failed."""

    def __init__(
        self, after_s: float, reason: str, checkpoint: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.reason = reason
        self.checkpoint = checkpoint


class PermanentFailure(Exception):
    """A refusal that needs a person, with a checkpoint for the attempt after a retry."""

    def __init__(self, refusal: BrokerError, checkpoint: Mapping[str, Any]) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.checkpoint = checkpoint


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step, for display."""

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
    """A run, for display: running, done with a result, failed with a problem, or dismissed: failed,
    and it will not be mended.
    """

    id: UUID
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
class Difference:
    """Two records that belong together and were not equal: of HubSpot's and of the partner's, with
    their addresses, the properties that differ, and which side has no record any more.
    """

    user_ref: str
    record_id: str
    record_url: str
    partner_id: str
    partner_url: str
    fields: Sequence[str]
    missing: Sequence[str]


@dataclass(frozen=True, slots=True)
class Consistency:
    """What a recipe found when it last compared the records on both sides."""

    compared: int
    equal: int
    checked_at: datetime
    different: Sequence[Difference] = ()


@dataclass(frozen=True, slots=True)
class SettingsProblem:
    """A setting that does not fit a user's accounts, and what to do about it."""

    user_ref: str
    about: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class SettingsCheck:
    """What a recipe found when it last held its settings against users' accounts by itself."""

    checked_at: datetime
    problems: Sequence[SettingsProblem]


@dataclass(frozen=True, slots=True)
class RunTask:
    """Something to do for a run that has ended, claimed: `kind` and `key` name it, `revision` is
    the fence. The user and the account are the run's.
    """

    workspace_id: UUID
    run_id: UUID
    kind: str
    key: str
    payload: Mapping[str, Any]
    revision: int
    attempts: int
    app_id: UUID
    app_slug: str
    user_ref: str | None
    hub_id: int | None


@dataclass(frozen=True, slots=True)
class RecipeSetting:
    """An app's settings of a recipe, with the secrets by their names."""

    app_id: UUID
    settings: Mapping[str, Any]
    secrets: Mapping[str, Secret]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ObjectTrigger:
    """A property of a HubSpot object type that becomes a value, or any value where `value` is None;
    without a `property`, a record that is created. `object_type` is an id such as `0-2`.
    """

    object_type: str
    property: str | None
    value: str | None


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A change of a HubSpot record: a property and its new value, or a new record (`property` is
    None).
    """

    object_type: str
    record_id: str
    property: str | None
    value: str

    def starts(self, trigger: ObjectTrigger) -> bool:
        """Whether a trigger is about this change."""
        return (
            trigger.object_type == self.object_type
            and trigger.property == self.property
            and trigger.value in {None, self.value}
        )


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
