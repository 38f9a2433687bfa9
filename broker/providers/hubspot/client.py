"""HubSpot's own endpoints over HTTP: tokens, accounts, the journal."""

from broker.domain.grants import Account, Tokens
from broker.domain.model import ProviderClient, Secret
from broker.errors import HubSpotTimeout, HubSpotUnavailable
from broker.providers.calls import upstream
from broker.providers.calls.answers import Answer
from broker.providers.hubspot import oauth
from broker.providers.hubspot.events import journal
from broker.providers.transport.api_session import ApiResponse, ApiSession
from broker.providers.transport.failures import Failures

FAILURES = Failures("HubSpot", HubSpotUnavailable, HubSpotTimeout)


class HubSpotClient:
    """Requests of the broker's own to HubSpot."""

    def __init__(self, api_url: str, oauth_version: str) -> None:
        self._api_url = api_url
        self._tokens_url = f"{api_url}/oauth/{oauth_version}/token"
        # Account information is versioned by the same dates as OAuth, from v3 on.
        self._account_url = f"{api_url}/account-info/{oauth_version}/details"
        self._session = ApiSession(FAILURES)

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def request_tokens(self, client: ProviderClient, form: dict[str, str]) -> Tokens:
        """Ask the token endpoint. Raises as `oauth.read_tokens` does."""
        response = await self._post(self._tokens_url, client, form)
        return oauth.read_tokens(response.status, response.body)

    async def introspect(self, client: ProviderClient, access_token: Secret) -> Account | None:
        """The account that a token belongs to; None when the token is not active."""
        response = await self._post(
            f"{self._tokens_url}/introspect",
            client,
            {"token": access_token.reveal(), "token_type_hint": "access_token"},
        )
        return oauth.read_account(response.status, response.body)

    async def account(self, access_token: Secret) -> Account | None:
        """The account of a private app's token, by one read; None when it is refused."""
        response = await self._session.request(
            "GET", self._account_url, headers=_bearer(access_token)
        )
        return oauth.read_account_info(response.status, response.body)

    async def revoke(self, client: ProviderClient, token: Secret) -> bool:
        """Revoke a refresh token; whether HubSpot accepted that, or knew it no more."""
        response = await self._post(
            f"{self._tokens_url}/revoke",
            client,
            {"token": token.reveal(), "token_type_hint": "refresh_token"},
        )
        if response.status >= 500:
            raise HubSpotUnavailable(f"HubSpot's revocation answered {response.status}.")
        return response.status < 300 or response.status == 404

    async def app_token(self, client: ProviderClient) -> Secret:
        """A token of the app itself, for the journal. Raises as `oauth.read_tokens` does."""
        return (await self.request_tokens(client, journal.token_form())).access_token

    async def subscribe_to_lifecycle(self, token: Secret) -> None:
        """Have installs and uninstalls written to the journal. HubSpot may do that already."""
        for event_type in journal.LIFECYCLE:
            await self._session.request(
                "POST",
                f"{self._api_url}/webhooks-journal/subscriptions/{journal.VERSION}",
                json=journal.subscription(event_type),
                headers=_bearer(token),
            )

    async def journal_file(self, token: Secret, offset: str | None) -> tuple[str, bytes] | None:
        """The journal's file after an offset (see `journal.path_of`) with its own; None when there
        is none yet. Raises as `journal.read_file` does.
        """
        response = await self._session.request(
            "GET", self._api_url + journal.path_of(offset), headers=_bearer(token)
        )
        file = journal.read_file(response.status, response.body, self._api_url)
        if file is None:
            return None
        # The address is a capability of its own; the token stays with the API.
        response = await self._session.request("GET", file.url, at_most=journal.FILE_BYTES + 1)
        if response.status != 200 or len(response.body) > journal.FILE_BYTES:
            raise HubSpotUnavailable(f"HubSpot's journal storage answered {response.status}.")
        return file.offset, response.body

    async def _post(self, url: str, client: ProviderClient, form: dict[str, str]) -> ApiResponse:
        # Everything is in the body: HubSpot documents no other way, and URLs end up in logs.
        credentials = {
            "client_id": client.client_id,
            "client_secret": client.client_secret.reveal(),
        }
        return await self._session.request("POST", url, form={**credentials, **form})


async def read_body(answer: Answer, at_most: int) -> bytes:
    """An answer's body up to a size. Raises HubSpotUnavailable or HubSpotTimeout when it is cut."""
    return await upstream.read_body(answer, at_most, FAILURES)


def _bearer(token: Secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}"}
