"""Install links by the hash of their state."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.domain.browser_sessions import InstallLink
from broker.domain.model import App, Secret
from broker.errors import (
    BrokerError,
    ExchangeFailed,
    InvalidRequest,
    LinkExpired,
    LinkUsed,
    OtherBrowser,
)
from broker.sealing import Place, Sealer
from broker.stores.connections.handles import hash_of
from broker.stores.core.database import Database
from broker.stores.core.queries import sql


class Links:
    """What state handles stand for; only their hashes are stored."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def create(self, link: InstallLink, state: Secret, lifetime: timedelta) -> None:
        """Keep a link; of one connect session only the newest works."""
        hashed = hash_of(state)
        if link.session_id is not None:
            await self._database.execute(
                sql.spend_links_of_session, link.app.workspace_id, link.session_id
            )
        verifier = link.verifier and self._sealer.seal(
            link.verifier, _place(link.app.workspace_id, hashed, "verifier")
        )
        await self._database.execute(
            sql.create_link,
            link.app.workspace_id,
            hashed,
            link.app.id,
            link.user_ref,
            list(link.scopes),
            verifier,
            link.return_url,
            lifetime,
            link.session_id,
            link.browser_hash,
            json.dumps(dict(link.options)),
        )

    async def use(self, app: App, state: Secret, *, with_credentials: bool = False) -> InstallLink:
        """Consume a state: of many callers, one gets the link.

        Raises LinkUsed, LinkExpired, InvalidRequest for a state that was never minted for this app,
        and ExchangeFailed where credentials have to come first and have not.
        """
        hashed = hash_of(state)
        row = await self._database.fetchrow(
            sql.use_link, app.workspace_id, hashed, app.id, with_credentials
        )
        if row is None:
            raise await self._refusal(app, hashed)
        return self._link(app, hashed, row)

    async def bind(self, app: App, state: Secret, browser: Secret) -> InstallLink:
        """Bind a link to the browser that opens it, and have it begin from the start: the last one
        before credentials come counts.

        Raises as `use`, and LinkUsed when they have come for another browser.
        """
        hashed, cookie = hash_of(state), hash_of(browser)
        row = await self._database.fetchrow(sql.bind_link, app.workspace_id, hashed, app.id, cookie)
        if row is None:
            raise await self._refusal(app, hashed)
        return self._link(app, hashed, row)

    async def store_credentials(self, app: App, state: Secret, credentials: Secret) -> None:
        """Keep what the provider sent for a link: the first that comes, once a browser opened it.

        Raises as `use`.
        """
        hashed = hash_of(state)
        sealed = self._sealer.seal(credentials, _place(app.workspace_id, hashed, "credentials"))
        stored = await self._database.fetchrow(
            sql.store_link_credentials, app.workspace_id, hashed, app.id, sealed
        )
        if stored is None:
            raise await self._refusal(app, hashed)

    async def _refusal(self, app: App, hashed: bytes) -> BrokerError:
        """Why a link cannot be used."""
        row = await self._database.fetchrow(sql.find_link, app.workspace_id, hashed, app.id)
        if row is None:
            return InvalidRequest("Unknown state: this link was not made here.")
        if row["used_at"] is not None or row["credentials"] is not None:
            return LinkUsed()
        if row["expired"]:
            return LinkExpired()
        if row["browser_hash"] is None:
            return OtherBrowser("No browser has opened this link.")
        return ExchangeFailed("No key has come for this link.")

    async def find(self, app: App, state: Secret) -> InstallLink | None:
        """What a state stands for, used or not."""
        hashed = hash_of(state)
        row = await self._database.fetchrow(sql.find_link, app.workspace_id, hashed, app.id)
        return None if row is None else self._link(app, hashed, row)

    async def reopen(self, link: InstallLink, state: Secret) -> None:
        """The provider could not be reached: the same link may be tried again."""
        workspace_id, hashed = link.app.workspace_id, hash_of(state)
        sealed = link.credentials and self._sealer.seal(
            link.credentials, _place(workspace_id, hashed, "credentials")
        )
        await self._database.execute(sql.reopen_link, workspace_id, hashed, sealed)

    async def purge(self) -> int:
        """Delete some links that ran out; how many."""
        return await self._database.purge(sql.purge_links)

    def _link(self, app: App, hashed: bytes, row: Any) -> InstallLink:
        verifier, credentials = row["verifier"], row["credentials"]
        return InstallLink(
            app=app,
            user_ref=row["user_ref"],
            scopes=tuple(row["scopes"]),
            verifier=verifier
            and self._sealer.open(verifier, _place(app.workspace_id, hashed, "verifier")),
            return_url=row["return_url"],
            session_id=row["session_id"],
            browser_hash=row["browser_hash"],
            options=json.loads(row["options"]),
            credentials=credentials
            and self._sealer.open(credentials, _place(app.workspace_id, hashed, "credentials")),
        )


def _place(workspace_id: UUID, hashed: bytes, column: str) -> Place:
    return Place(workspace_id, f"install_link/{hashed.hex()}", column)
