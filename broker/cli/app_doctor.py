"""`broker doctor --app`: every step from a registered app to its first user."""

from uuid import UUID

from broker.bootstrap.components import Components
from broker.cli.checks import Checks
from broker.domain.model import App
from broker.errors import AppNotFound
from broker.services.installs.app_checks import AppChecks
from broker.services.installs.app_readiness import AppReadiness


async def check_app(broker: Components, slug: str, workspace: UUID | None, checks: Checks) -> None:
    """Look at an app; a slug that several workspaces have needs the workspace."""
    found = await _find(broker, slug, workspace)
    if len(found) != 1:
        checks.wrong(
            "app",
            f"several workspaces have {slug}: add --workspace"
            if found
            else f"no workspace has {slug}: register it with `broker app add` or in the console",
        )
        return
    app = found[0]
    checks.good("app", f"{app.slug} of workspace {app.workspace_id}")
    readiness = AppReadiness(
        AppChecks(broker.apps, broker.installs, broker.providers),
        broker.installs,
        broker.connections,
        broker.grants,
        broker.providers,
        broker.endpoints,
        broker.events,
        broker.journal,
    )
    async for step in readiness.steps(app):
        match step.state:
            case "good":
                checks.good(step.name, step.message)
            case "todo":
                checks.todo(step.name, step.message)
            case "bad":
                checks.wrong(step.name, step.message)


async def _find(broker: Components, slug: str, workspace: UUID | None) -> list[App]:
    known = [each.id for each in await broker.keys.workspaces()]
    found = []
    for each in known:
        if workspace not in {None, each}:
            continue
        try:
            found.append(await broker.apps.get(each, slug))
        except AppNotFound:
            continue
    return found
