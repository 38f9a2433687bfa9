"""QuickBooks Online as the broker's services know it."""

from collections.abc import Mapping
from dataclasses import replace

from broker.domain.grants import Account, Tokens
from broker.domain.model import App, Connection, Grant, ProviderClient, ProxyCall, Secret
from broker.errors import ProviderUnavailable, wrong_field
from broker.providers.base import Provider, ProviderContext, ProviderSpec
from broker.providers.calls import destination
from broker.providers.calls.answers import Answer, request_id_in
from broker.providers.calls.effects import Effect
from broker.providers.calls.encodings import decoded_body
from broker.providers.calls.headers import HeaderFilter, response_headers
from broker.providers.calls.limits import QuotaLimit, retry_after
from broker.providers.calls.upstream import Destinations, encode_call, peek_body
from broker.providers.oauth import ENDS_ACCOUNT, GrantEnded
from broker.providers.quickbooks import api, oauth
from broker.providers.quickbooks.webhooks import QuickBooksWebhooks
from broker.providers.quickbooks.wording import WORDING
from broker.providers.transport.api_session import ApiSession
from broker.providers.transport.failures import Failures
from broker.providers.values import Callback, ConsentRequest, Exchange, Renewable

FAILURES = Failures("QuickBooks")

CONSENT_URL = "https://appcenter.intuit.com"
TOKENS_URL = "https://oauth.platform.intuit.com"
REVOCATION_URL = "https://developer.api.intuit.com"
"""Where people consent, and where tokens are issued and revoked, for both environments (Intuit's
discovery documents)."""


class QuickBooks(Provider):
    """QuickBooks Online: one host for each environment, a company in every path."""

    failures = FAILURES
    retry_rules = api.RETRIES
    rotates = True  # about daily; the value before it ends at once

    def __init__(self, context: ProviderContext) -> None:
        self.spec = QUICKBOOKS
        self.deadlines = context.deadlines
        self._url = context.settings.get("quickbooks_url")
        self._session = ApiSession(FAILURES)
        self._destinations = Destinations(context.pools)
        self._headers = HeaderFilter(context.key_headers)

    async def close(self) -> None:
        """End the connections of the broker's own requests."""
        await self._session.close()

    def uses_pkce(self, _app: App, _options: Mapping[str, str]) -> bool:
        """Intuit has no PKCE."""
        return False

    def authorize_url(self, app: App, request: ConsentRequest) -> str:
        """Intuit's consent page, where the user chooses the company."""
        return oauth.authorize_url(self._url or CONSENT_URL, app, request)

    def read_callback(self, query: Mapping[str, str]) -> Callback:
        """The redirect, which is the only place that names the company."""
        callback = super().read_callback(query)
        realm_id = query.get(oauth.REALM, "")
        if callback.code is not None and not oauth.REALM_ID.fullmatch(realm_id):
            raise wrong_field(oauth.REALM, "is missing, or is not the id of a company")
        return callback

    async def exchange(self, app: App, request: Exchange) -> Tokens:
        """Turn an authorization code into tokens."""
        form = oauth.exchange_form(request.code, request.redirect_url)
        realm_id = request.query.get(oauth.REALM, "")
        tokens = await self._request_tokens(app.client, form)
        return replace(tokens, details=_details_of(realm_id))

    def import_details(self, fields: Mapping[str, Secret]) -> Mapping[str, str]:
        """`realmId`: the company, which no token names."""
        realm_id = fields[oauth.REALM].reveal() if oauth.REALM in fields else ""
        if not oauth.REALM_ID.fullmatch(realm_id):
            raise wrong_field(oauth.REALM, "must be the id of the company")
        return _details_of(realm_id)

    async def identify(self, app: App, tokens: Tokens) -> Account | None:
        """The company, by its own information: a browser brought its id, so that tokens prove it.

        A company that the tokens are not for is none, and so is one that cannot be read.
        """
        realm_id = (tokens.details or {}).get(oauth.REALM)
        if realm_id is None:
            return None
        url = f"{self._api_url(app.client)}/v3/company/{realm_id}/companyinfo/{realm_id}"
        response = await self._session.request(
            "GET",
            f"{url}?minorversion={api.MINOR_VERSION}",
            headers={"Authorization": oauth.bearer(tokens.access_token)},
        )
        return oauth.read_account(realm_id, response.status, response.body)

    async def refresh(self, client: ProviderClient, renewable: Renewable) -> Tokens:
        """Renew a grant."""
        if renewable.refresh_token is None:
            raise GrantEnded("token-refused")
        return await self._request_tokens(client, oauth.refresh_form(renewable.refresh_token))

    async def revoke(
        self, client: ProviderClient, token: Secret, _details: Mapping[str, str]
    ) -> bool:
        """Disconnect the app from the company."""
        response = await self._session.request(
            "POST",
            f"{self._url or REVOCATION_URL}/v2/oauth2/tokens/revoke",
            json=oauth.revocation(token),
            headers=oauth.client_headers(client),
        )
        if response.status >= 500:
            raise ProviderUnavailable(f"QuickBooks' revocation answered {response.status}.")
        # 400: it knows the token no more.
        return response.status < 300 or response.status == 400

    def effect_of(self, method: str, target: str) -> Effect:
        """What a call does: queries may be posted."""
        return api.effect_of(method, target)

    def quota_of(self, _method: str, target: str) -> QuotaLimit:
        """Batches are counted apart."""
        return api.quota_of(target)

    def target_of(self, url: str, connection: Connection) -> str:
        """The target of a URL at the API of the connection's environment."""
        here = self._api_of(connection)
        hosts = {name.removeprefix("https://") for name in api.HOSTS.values()}
        return destination.target_of(
            url, (here,), lambda host: self._url is not None and host in hosts, "QuickBooks"
        )

    def template_of(self, target: str) -> str:
        """A path without the company and the ids of records."""
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
        """Send a call as one user."""
        there = self._destinations.at(self._api_of(connection))
        credentials = (("Authorization", oauth.bearer(grant.access_token)),)
        request, rest = encode_call(call, there, self._headers, credentials)
        try:
            answer = await there.pool.send(
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
            request_id=request_id_in(answer.headers, "intuit_tid"),
        )

    async def _request_tokens(self, client: ProviderClient, form: dict[str, str]) -> Tokens:
        response = await self._session.request(
            "POST",
            f"{self._url or TOKENS_URL}/oauth2/v1/tokens/bearer",
            form=form,
            headers={**oauth.client_headers(client), **oauth.ASK_FOR_END},
        )
        tokens = oauth.read_tokens(response.status, response.body)
        return replace(tokens, api_url=self._api_url(client))

    def _api_url(self, client: ProviderClient) -> str:
        return self._url or api.HOSTS[client.options.get("environment", "production")]

    def _api_of(self, connection: Connection) -> str:
        return self._url or connection.api_url or api.HOSTS["production"]


def _details_of(realm_id: str) -> Mapping[str, str]:
    # A revocation disconnects the company for every user of the app.
    return {oauth.REALM: realm_id, ENDS_ACCOUNT: realm_id}


QUICKBOOKS = ProviderSpec(
    name="quickbooks",
    label="QuickBooks",
    build=QuickBooks,
    settings={"quickbooks_url": None},
    consent_sources=("https://*.intuit.com",),
    import_fields=frozenset({oauth.REALM}),
    webhooks=QuickBooksWebhooks(),
    app_options={"environment": frozenset({"production", "sandbox"})},
    wording=WORDING,
)
