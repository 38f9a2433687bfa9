"""The first page of the console: what needs a person, and the apps."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.errors import NotFound
from broker.stores.connections.connections import Connections
from broker.stores.core.attention import Attention, Count
from broker.web.console.base import SECTIONS, ConsoleBase, for_operators
from broker.web.core.wording import label_of


@dataclass(frozen=True, slots=True)
class Finding:
    """Something of an app that needs a person: `words` say what, after how many there are of it
    (None: it is not counted), `action` what to do, and `path` is where in the console.
    """

    app: App
    number: int | None
    words: str
    action: str
    path: str


class HomeViews:
    """`/console`."""

    def __init__(
        self, console: ConsoleBase, connections: Connections, attention: Attention
    ) -> None:
        self.console = console
        self._connections = connections
        self._attention = attention

    @for_operators()
    async def missing(self, _request: web.Request, _operator: Operator) -> web.Response:
        """Any other address below `/console`."""
        raise NotFound("The console has no such page.")

    @for_operators()
    async def home(self, _request: web.Request, operator: Operator) -> web.Response:
        """What needs a person, as far as the key may see it, and every app."""
        if not any(operator.has_any_scope(*scopes) for _, _, scopes in SECTIONS):
            return self.console.render(operator, "nothing.html")
        apps = await self.console.apps(operator)
        by_status = await self._connections.counts(operator.caller.workspace_id)
        counts = await self._attention.counts(apps)
        findings = [
            finding
            for app in apps
            for finding in _findings(
                operator,
                app,
                by_status.get(app.id, {}),
                counts.get(app.id, []),
                self.console.section_labels,
            )
        ]
        return self.console.render(
            operator,
            "home.html",
            findings=findings,
            rows=[
                (
                    app,
                    label_of(app.provider),
                    by_status.get(app.id, {}),
                    sum(each.number for each in counts.get(app.id, []) if each.kind == "calls"),
                )
                for app in apps
            ],
        )


def _findings(
    operator: Operator,
    app: App,
    by_status: Mapping[str, int],
    counts: list[Count],
    recipes: Mapping[str, str],
) -> list[Finding]:
    """What of an app the operator's key may see and mend; `recipes` are the recipes' labels."""
    found, label = [], label_of(app.provider)

    def add(scope: str, number: int, words: str, action: str, path: str, **query: str) -> None:
        if number and operator.has_any_scope(scope):
            where = f"{path}?{urlencode({'app': app.slug, **query})}"
            found.append(Finding(app, number, words, action, where))

    if app.credentials_refused_at is not None and operator.has_any_scope("apps"):
        words = f"{label} refuses the app's client id or secret"
        found.append(Finding(app, None, words, "Correct them", f"/apps/{app.slug}"))
    ended = by_status.get("REAUTH_REQUIRED", 0)
    words = "user has to connect again" if ended == 1 else "users have to connect again"
    add("connect", ended, words, "See who", "/connections", status="REAUTH_REQUIRED")
    for each in counts:
        calls = "call" if each.number == 1 else "calls"
        if each.kind == "failed-calls":
            words = f"{calls} failed at {label} or on the way there in the last hour (5xx)"
            add("calls", each.number, words, "See which", "/calls", status="5xx")
        elif each.kind == "limited-calls":
            was = "was" if each.number == 1 else "were"
            words = f"{calls} {was} refused because of {label}'s limit in the last hour (429)"
            add("calls", each.number, words, "See which", "/calls", status="429")
        elif each.kind == "dead-deliveries":
            events = "event was" if each.number == 1 else "events were"
            words = f"{events} not accepted by your product and given up"
            add("webhooks", each.number, words, "See and replay", "/deliveries", state="dead")
        elif each.kind == "endpoints":
            fail = "fails or is" if each.number == 1 else "fail or are"
            words = f"of the addresses to which events are sent {fail} switched off"
            add("webhooks", each.number, words, "See which", "/endpoints")
        elif each.recipe is not None and operator.has_any_scope("recipes"):
            found.append(_of_recipe(app, each, recipes.get(each.recipe, each.recipe)))
    return found


def _of_recipe(app: App, count: Count, title: str) -> Finding:
    if count.kind == "unhealthy-recipe":
        where = f"/health?{urlencode({'app': app.slug, 'recipe': count.recipe})}"
        words = f"{title} is unhealthy: it broke a limit that is set for it"
        return Finding(app, None, words, "See why", where)
    runs = "run" if count.number == 1 else "runs"
    where = f"/{count.recipe}?{urlencode({'app': app.slug, 'state': 'failed'})}"
    return Finding(
        app, count.number, f"{runs} of {title} failed and need a person", "See which", where
    )
