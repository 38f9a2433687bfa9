"""Xero as the broker's services know it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from broker.domain.grants import Account, Tokens
from broker.domain.model import App, Connection, Grant, ProviderClient, ProxyCall, Secret
from broker.errors import ExchangeFailed, InvalidRequest, ProviderUnavailable
from broker.providers.base import Provider, ProviderContext, ProviderSpec
from broker.providers.calls import destination
from broker.providers.calls.answers import Answer, request_id_in
from broker.providers.calls.encodings import decoded_body
from broker.providers.calls.headers import HeaderFilter, response_headers
from broker.providers.calls.limits import QuotaLimit, retry_after
from broker.providers.calls.upstream import destination_of, encode_call, peek_body
from broker.providers.oauth import GrantEnded
from broker.providers.transport.api_session import ApiResponse, ApiSession
from broker.providers.transport.failures import Failures
from broker.providers.values import ConsentRequest, Exchange, Renewable
from broker.providers.xero import api, oauth
from broker.providers.xero.webhooks import XeroWebhooks
from broker.providers.xero.wording import WORDING

FAILURES = Failures("Xero")

CONSENT_URL = "https://login.xero.com"
TOKENS_URL = "https://identity.xero.com"


class Xero(Provider):
    """Xero: one host, tokens of a person for many organisations, of which a connection is one."""

    failures = FAILURES
    retry_rules = api.RETRIES
    rotates = True  # at every renewal; the one before works for half an hour more

    def __init__(self, context: ProviderContext) -> None:
        self.spec = XERO
        self.deadlines = context.deadlines
        own = context.settings.get("xero_url")
        self._consent_url = own or CONSENT_URL
        self._tokens_url = own or TOKENS_URL
        self._api_url = own or api.API_URL
        self._session = ApiSession(FAILURES)
        self._destination = destination_of(context.pools, self._api_url)
        self._headers = HeaderFilter(context.key_headers | {api.TENANT.lower()})

    async def close(self) -> None:
        """End the connections of the broker's own requests."""
        await self._session.close()

    def authorize_url(self, app: App, request: ConsentRequest) -> str:
        """Xero's consent page, where the user chooses organisations."""
        return oauth.authorize_url(self._consent_url, app, request)

    async def exchange(self, app: App, request: Exchange) -> Tokens:
        """Turn an authorization code into tokens."""
        form = oauth.exchange_form(request.code, request.redirect_url, request.verifier)
        return await self._request_tokens(app.client, form)

    async def accounts(self, _app: App, tokens: Tokens) -> Sequence[Account]:
        """The organisations chosen in the consent that brought the tokens, else all that the person
        has connected to the app.
        """
        event = oauth.auth_event_of(tokens.access_token)
        if event is not None and (found := await self._connections(tokens, event)):
            return found
        return await self._connections(tokens)

    async def identify(self, app: App, tokens: Tokens) -> Account | None:
        """The organisation, where there is only one."""
        found = await self.accounts(app, tokens)
        return found[0] if len(found) == 1 else None

    async def prove_credentials(
        self, app: App, _fields: Mapping[str, Secret]
    ) -> tuple[Tokens, Account]:
        """Tokens of the app itself: a custom connection, which is for one organisation."""
        try:
            tokens = await self._request_tokens(
                app.client, oauth.client_credentials_form(app.scopes)
            )
        except (GrantEnded, ExchangeFailed) as refused:
            raise InvalidRequest(
                "Xero does not accept the app as a custom connection with these scopes."
            ) from refused
        account = await self.identify(app, tokens)
        if account is None:
            raise InvalidRequest("Xero's custom connection is for no organisation yet.")
        details = {oauth.GRANT: oauth.CLIENT_CREDENTIALS}
        return replace(tokens, details=details), account

    async def refresh(self, client: ProviderClient, renewable: Renewable) -> Tokens:
        """Renew a grant."""
        if renewable.details.get(oauth.GRANT) == oauth.CLIENT_CREDENTIALS:
            return await self._request_tokens(client, oauth.client_credentials_form(()))
        if renewable.refresh_token is None:
            raise GrantEnded("token-refused")
        return await self._request_tokens(client, oauth.refresh_form(renewable.refresh_token))

    async def revoke(
        self, client: ProviderClient, token: Secret, details: Mapping[str, str]
    ) -> bool:
        """Disconnect the app from the organisation, and end the grant once no other is left: the
        person may have connected several, as several users of the app, and a revocation ends all.
        A grant without an organisation is left to end by itself while there are others.
        """
        try:
            tokens = await self._request_tokens(client, oauth.refresh_form(token))
        except GrantEnded:
            return True
        connection_id = quote(details.get(oauth.CONNECTION, ""), safe="")
        if connection_id:
            response = await self._ask("DELETE", f"/connections/{connection_id}", tokens)
            if response.status >= 500:
                raise ProviderUnavailable(f"Xero's disconnection answered {response.status}.")
            if await self._connections(tokens):
                return response.status < 300 or response.status == 404
        elif await self._connections(tokens):
            return False
        return await self._end(client, tokens.refresh_token or token)

    async def _end(self, client: ProviderClient, token: Secret) -> bool:
        response = await self._session.request(
            "POST",
            f"{self._tokens_url}/connect/revocation",
            form=oauth.revocation_form(token),
            headers=oauth.client_headers(client),
        )
        if response.status >= 500:
            raise ProviderUnavailable(f"Xero's revocation answered {response.status}.")
        return response.status < 300

    def quota_of(self, _method: str, _target: str) -> QuotaLimit:
        """Every call is counted for its organisation."""
        return api.CALLS

    def target_of(self, url: str, _connection: Connection) -> str:
        """The target of a URL at Xero's API host."""
        hosts = (self._api_url, api.API_URL)
        return destination.target_of(url, hosts, label="Xero")

    def template_of(self, target: str) -> str:
        """A path without the ids of records."""
        return api.template_of(target.partition("?")[0])

    async def send(
        self,
        call: ProxyCall,
        connection: Connection,
        grant: Grant,
        within: float,
        *,
        repeats: bool,
    ) -> Answer:
        """Send a call as one user, to the organisation of the connection."""
        credentials = (
            ("Authorization", oauth.bearer(grant.access_token)),
            (api.TENANT, connection.account_id or ""),
        )
        request, rest = encode_call(call, self._destination, self._headers, credentials)
        try:
            answer = await self._destination.pool.send(
                request,
                rest,
                min(within, self.deadlines.total),
                bodiless=call.method == "HEAD",
                repeats=repeats,
            )
            refusal = await peek_body(answer) if answer.status == 401 else b""
        except OSError as error:
            raise FAILURES.refusal(error) from error
        return Answer(
            answer.status,
            answer.reason,
            response_headers(answer.raw),
            answer,
            api.rejects_token(answer.status, decoded_body(answer.raw, refusal)),
            api.read_rate_limit(answer.status, answer.headers),
            None if answer.status < 400 else retry_after(answer.headers),
            answer.close,
            request_id=request_id_in(answer.headers, "xero-correlation-id"),
        )

    async def _connections(self, tokens: Tokens, event: str | None = None) -> tuple[Account, ...]:
        query = "" if event is None else f"?authEventId={quote(event, safe='')}"
        response = await self._ask("GET", f"/connections{query}", tokens)
        return oauth.read_accounts(response.status, response.body, tokens.scopes)

    async def _ask(self, method: str, target: str, tokens: Tokens) -> ApiResponse:
        return await self._session.request(
            method,
            self._api_url + target,
            headers={"Authorization": oauth.bearer(tokens.access_token)},
        )

    async def _request_tokens(self, client: ProviderClient, form: dict[str, str]) -> Tokens:
        response = await self._session.request(
            "POST",
            f"{self._tokens_url}/connect/token",
            form=form,
            headers=oauth.client_headers(client),
        )
        return oauth.read_tokens(response.status, response.body)


XERO = ProviderSpec(
    name="xero",
    label="Xero",
    build=Xero,
    settings={"xero_url": None},
    consent_sources=("https://*.xero.com",),
    webhooks=XeroWebhooks(),
    chooses_account=True,
    wording=WORDING,
)
