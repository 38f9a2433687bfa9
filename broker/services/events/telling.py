"""How any part of the broker tells an app's endpoints what happened.

Recipes and services hold a row of theirs in a transaction and call `tell` with its session: the
event exists exactly if what it tells does. Types begin with their family (`kyb.`,
`recipe.run.finished`); `docs/events.md` lists them.
"""

from broker.domain.events import Fact
from broker.domain.model import App
from broker.stores.core.database import Session
from broker.stores.events.events import tell as write


async def tell(session: Session, app: App, *facts: Fact) -> None:
    """Owe facts to every endpoint of the app that wants them, when the transaction commits."""
    await write(session, app.workspace_id, app.id, facts)
