"""Start runs and wait for them: what every way into a recipe does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.domain.runs import RunRecord, RunRequest
from broker.recipes.base import AnyRecipe
from broker.services.runs.engine import Runs, refusal_of


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run after a start. `existed`: it was done before, so this start changed nothing."""

    run: RunRecord
    existed: bool

    @property
    def result(self) -> dict[str, Any]:
        """The result of a run that is done. Raises the refusal of one that failed."""
        if self.run.problem is not None:
            raise refusal_of({**self.run.problem, "runId": str(self.run.id)})
        result = dict(self.run.result or {})
        if "created" in result:
            result["created"] = bool(result["created"]) and not self.existed
        return result


class Starter:
    """Starts the runs of a process's recipes."""

    def __init__(self, runs: Runs, recipes: Mapping[str, AnyRecipe]) -> None:
        self._runs = runs
        self._recipes = recipes

    async def start(self, request: RunRequest, within_s: float) -> StartedRun:
        """Start a run, or join the one of the same subject; as it is when it has ended, or after
        some seconds. Raises OtherAccount.
        """
        run_id, before = await self._runs.start(request)
        record = await self._runs.wait(request.workspace_id, run_id, within_s)
        current = await self._recipes[request.recipe].current(request.workspace_id, record)
        return StartedRun(current, existed=before == "done")
