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
        """What can be found without a request; `connected` is how many connections work."""
        found, spec = [], self._providers[app.provider].spec
        label = spec.label
        if app.credentials_refused_at is not None:
            found.append(
                Finding(
                    "bad", f"{label} rejected the Client Id or Client Secret. Correct them below."
                )
            )
        redirect = urlsplit(self._installs.redirect_url(app))
        if redirect.scheme != "https" and redirect.hostname not in {"localhost", "127.0.0.1"}:
            found.append(
                Finding(
                    "bad",
                    f"{label} accepts only https redirect URLs: set BROKER_PUBLIC_URL to https.",
                )
            )
        found += [
            Finding("todo", f"Add the scope {scope}: {label} requires it of every app.")
            for scope in sorted(spec.required_scopes - set(app.scopes))
        ]
        if connected:
            registered = (
                f": the redirect URL is registered in {label}." if spec.needs_client else "."
            )
            found.append(Finding("good", f"Users have connected{registered}"))
        else:
            paste = f" Paste the redirect URL into {label}." if spec.needs_client else ""
            found.append(Finding("todo", f"No user is connected yet.{paste}"))
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
        """Whether the provider knows the client id and secret, by an exchange that cannot succeed:
        providers judge the client before the code.
        """
        spec = self._providers[app.provider].spec
        if not spec.needs_client:
            return Finding("good", f"{spec.label} has no credentials of an app to check.")
        code = Secret("00000000-0000-0000-0000-000000000000")
        try:
            await self._providers[app.provider].exchange(
                app, Exchange(code, self._installs.redirect_url(app), None, {}, {})
            )
        except CredentialsRefused:
            await self._apps.flag_credentials(app.workspace_id, app.id)
            return Finding("bad", f"{spec.label} rejects this Client Id with this Client Secret.")
        except GrantEnded:
            return Finding("good", f"{spec.label} accepts the Client Id and Client Secret.")
        except BrokerError as refusal:
            if refusal.code == "exchange-failed":
                return Finding("good", f"{spec.label} accepts the Client Id and Client Secret.")
            return Finding(
                "todo", f"{spec.label} could not be reached just now. Try again in a minute."
            )
        return Finding("good", f"{spec.label} accepts the Client Id and Client Secret.")
