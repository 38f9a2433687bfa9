"""What is still wrong with an app, as far as can be known before a user meets it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from broker.domain.model import App, Secret
from broker.errors import BrokerError, CredentialsRefused
from broker.providers.base import Provider
from broker.providers.oauth import GrantEnded
from broker.providers.values import Exchange
from broker.services.installs.oauth_flow import Installs
from broker.stores.connections.apps import Apps


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `state` is good, todo or bad."""

    state: str
    message: str


class AppChecks:
    """An operator's question whether an app is ready."""

    def __init__(self, apps: Apps, installs: Installs, providers: Mapping[str, Provider]) -> None:
        self._apps = apps
        self._installs = installs
        self._providers = providers

    def local_findings(self, app: App, connected: int) -> list[Finding]:
        """What can be found without asking HubSpot; `connected` is how many connections work."""
        found = []
        if app.credentials_refused_at is not None:
            found.append(
                Finding(
                    "bad", "HubSpot rejected the Client Id or Client Secret. Correct them below."
                )
            )
        redirect = urlsplit(self._installs.redirect_url(app))
        if redirect.scheme != "https" and redirect.hostname not in {"localhost", "127.0.0.1"}:
            found.append(
                Finding(
                    "bad",
                    "HubSpot accepts only https redirect URLs: set BROKER_PUBLIC_URL to https.",
                )
            )
        if "oauth" not in app.scopes:
            found.append(Finding("todo", "Add the scope oauth: HubSpot requires it of every app."))
        if connected:
            found.append(
                Finding("good", "Users have connected: the redirect URL is registered in HubSpot.")
            )
        else:
            found.append(
                Finding("todo", "No user is connected yet. Paste the redirect URL into HubSpot.")
            )
        if not app.return_urls:
            found.append(
                Finding(
                    "todo",
                    "No return URL registered yet: users will see a page of the broker after "
                    "connecting.",
                )
            )
        if not app.origins:
            found.append(
                Finding(
                    "todo",
                    "No origin registered yet: the Connect button will not work in popup mode. "
                    "Add your page's origin below.",
                )
            )
        return found

    async def verify_credentials(self, app: App) -> Finding:
        """Whether HubSpot knows the client id and secret, by an exchange that cannot succeed:
        HubSpot judges the client before the code.
        """
        code = Secret("00000000-0000-0000-0000-000000000000")
        try:
            await self._providers[app.provider].exchange(
                app, Exchange(code, self._installs.redirect_url(app), None, {}, {})
            )
        except CredentialsRefused:
            await self._apps.flag_credentials(app.workspace_id, app.id)
            return Finding("bad", "HubSpot rejects this Client Id with this Client Secret.")
        except GrantEnded:
            return Finding("good", "HubSpot accepts the Client Id and Client Secret.")
        except BrokerError as refusal:
            if refusal.code == "exchange-failed":
                return Finding("good", "HubSpot accepts the Client Id and Client Secret.")
            return Finding("todo", "HubSpot could not be reached just now. Try again in a minute.")
        return Finding("good", "HubSpot accepts the Client Id and Client Secret.")
