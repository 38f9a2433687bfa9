"""HubSpot as the broker's services know it."""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from broker.domain.grants import Account, Tokens
from broker.domain.model import (
    App,
    Connection,
    Grant,
    PolicyRule,
    ProviderClient,
    ProxyCall,
    Secret,
)
from broker.domain.urls import with_parameters
from broker.errors import wrong_field
from broker.providers.base import Provider, ProviderContext, ProviderSpec
from broker.providers.calls import destination
from broker.providers.calls.answers import Answer, request_id_in
from broker.providers.calls.effects import Effect
from broker.providers.calls.headers import HeaderFilter, response_headers
from broker.providers.calls.limits import QuotaLimit, retry_after
from broker.providers.calls.upstream import destination_of, encode_call, peek_body
from broker.providers.hubspot import limits, oauth, policy, templates
from broker.providers.hubspot.client import FAILURES, HubSpotClient
from broker.providers.hubspot.events.inbound import HubSpotWebhooks
from broker.providers.hubspot.wording import WORDING
from broker.providers.oauth import GrantEnded
from broker.providers.transport.headers import Headers, encoded
from broker.providers.transport.response import UpstreamResponse
from broker.providers.values import Callback, ConsentRequest, Exchange, Renewable

API_HOST = re.compile(r"(api\.hubapi\.com|api\.hubspot\.com|api-[a-z]{2}\d\.hubapi\.com)(:443)?")
"""HubSpot's public API hosts: one for all, an alias that its documentation uses, and one for each
data centre (https://developers.hubspot.com/docs, every published OpenAPI document)."""

OWN_PAGE = re.compile(r"app(-[a-z]{2}\d)?\.hubspot\.com")
"""Where HubSpot's Marketplace asks to be sent back to; regional hosts carry their data centre."""


CONTINUE = "continueUrl"


class HubSpot(Provider):
    """HubSpot: one API host for all accounts, quotas reported in headers."""

    failures = FAILURES
    retry_rules = limits.RETRIES
    rotates = True  # it does not promise that it does not

    def __init__(self, context: ProviderContext) -> None:
        self.spec = HUBSPOT
        self.deadlines = context.deadlines
        self.api_url = context.settings["hubspot_api_url"]
        self.consent_url = context.settings["hubspot_app_url"]
        self.client = HubSpotClient(self.api_url, context.settings["hubspot_oauth_version"])
        self._destination = destination_of(context.pools, self.api_url)
        self._headers = HeaderFilter(context.key_headers)

    async def close(self) -> None:
        """End the connections of the broker's own requests."""
        await self.client.close()

    @property
    def in_flight(self) -> int:
        """How many proxied calls HubSpot has not answered to the end."""
        return self._destination.pool.in_flight

    def check_link(self, app: App, options: Mapping[str, str]) -> Mapping[str, str]:
        """`continueUrl`: HubSpot's page that waits for a user who signs in to the product first."""
        url = super().check_link(app, options).get(CONTINUE)
        if url is not None and not self._is_own_page(url):
            raise wrong_field(CONTINUE, "is not one of HubSpot's pages")
        return options

    def uses_pkce(self, app: App, options: Mapping[str, str]) -> bool:
        """Consent that HubSpot began itself has no challenge."""
        return app.pkce and CONTINUE not in options

    def authorize_url(self, app: App, request: ConsentRequest) -> str:
        """HubSpot's consent page, or its page that goes on to it."""
        if (url := request.options.get(CONTINUE)) is not None:
            return with_parameters(url, {"state": request.state.reveal()})
        return oauth.authorize_url(self.consent_url, app, request)

    def read_callback(self, query: Mapping[str, str]) -> Callback:
        """The redirect, with the page of HubSpot's that an install from its Marketplace ends at
        (https://developers.hubspot.com/docs/apps/developer-platform/list-apps/understand-app-install-flow).
        """
        callback = super().read_callback(query)
        page, step = query.get("returnUrl"), query.get("step")
        if page is None or (callback.state is not None and step != "finalize"):
            return callback
        if not self._is_own_page(page):
            raise wrong_field("returnUrl", "is not one of HubSpot's pages")
        return replace(callback, page=page, needs_sign_in=step == "authorize")

    async def exchange(self, app: App, request: Exchange) -> Tokens:
        """Turn an authorization code into tokens."""
        form = oauth.exchange_form(request.code, request.redirect_url, request.verifier)
        return await self.client.request_tokens(app.client, form)

    async def identify(self, app: App, tokens: Tokens) -> Account | None:
        """The account, by introspection."""
        return await self.client.introspect(app.client, tokens.access_token)

    async def prove_access_token(self, _app: App, access_token: Secret) -> Account | None:
        """The account of a private app's token, by one read."""
        return await self.client.account(access_token)

    async def refresh(self, client: ProviderClient, renewable: Renewable) -> Tokens:
        """Renew a grant."""
        if renewable.refresh_token is None:
            raise GrantEnded("token-refused")  # a private app's token is final
        form = oauth.refresh_form(renewable.refresh_token)
        return await self.client.request_tokens(client, form)

    async def revoke(
        self, client: ProviderClient, token: Secret, _details: Mapping[str, str]
    ) -> bool:
        """Revoke a refresh token."""
        return await self.client.revoke(client, token)

    def effect_of(self, method: str, target: str) -> Effect:
        """What a call does, judged on its final meaning."""
        return policy.effect_of(method, target)

    def allows(self, rules: Iterable[PolicyRule], method: str, target: str) -> bool:
        """Whether one of the rules covers a call, whatever its spelling."""
        return policy.allows(rules, method, target)

    def quota_of(self, method: str, target: str) -> QuotaLimit:
        """Searches are counted apart."""
        return limits.quota_of(method, target)

    def target_of(self, url: str, _connection: Connection) -> str:
        """The target of a URL at any of HubSpot's API hosts, which are sent to the one that is
        configured.
        """
        return destination.target_of(url, (self.api_url,), _is_api_host, "HubSpot")

    def template_of(self, target: str) -> str:
        """A path of HubSpot's words alone."""
        return templates.template_of(target.partition("?")[0])

    async def send(
        self,
        call: ProxyCall,
        _connection: Connection,
        grant: Grant,
        within: float,
        *,
        repeats: bool,
    ) -> Answer:
        """Send a call as one user."""
        request, rest = self._encode(call, grant)
        return await self._exchange(call, request, rest, within, repeats=repeats)

    def can_begin(self, _call: ProxyCall, _connection: Connection) -> bool:
        """Whether a connection to HubSpot is idle."""
        return self._destination.pool.has_idle

    def begin(self, call: ProxyCall, _connection: Connection, grant: Grant) -> UpstreamResponse:
        """Send a call on an idle connection."""
        request, _ = self._encode(call, grant)
        return self._destination.pool.begin(request, self.deadlines.total)

    def read_complete(self, call: ProxyCall, response: UpstreamResponse) -> Answer:
        """The answer, of whose body nothing has to be known."""
        return self._answer(call, response, b"")

    async def finish(
        self,
        call: ProxyCall,
        grant: Grant,
        pending: UpstreamResponse,
        within: float,
        *,
        repeats: bool,
    ) -> Answer:
        """Go on with a call that was begun."""
        request, _ = self._encode(call, grant)
        return await self._exchange(call, request, None, within, repeats=repeats, pending=pending)

    def _encode(self, call: ProxyCall, grant: Grant) -> tuple[bytes, AsyncIterator[bytes] | None]:
        token = encoded(grant.access_token.reveal())
        credentials = Headers([(b"Authorization", b"Bearer " + token)])
        return encode_call(call, self._destination, self._headers, credentials)

    async def _exchange(
        self,
        call: ProxyCall,
        request: bytes,
        rest: AsyncIterator[bytes] | None,
        within: float,
        *,
        repeats: bool,
        pending: UpstreamResponse | None = None,
    ) -> Answer:
        try:
            response = await self._destination.pool.send(
                request,
                rest,
                min(within, self.deadlines.total),
                bodiless=call.method == "HEAD",
                repeats=repeats,
                pending=pending,
            )
            refusal = await peek_body(response) if response.status in {401, 429} else b""
        except OSError as error:
            raise FAILURES.refusal(error) from error
        return self._answer(call, response, refusal)

    def _answer(self, call: ProxyCall, response: UpstreamResponse, refusal: bytes) -> Answer:
        status = response.status
        return Answer(
            status,
            response.reason,
            response_headers(response.raw),
            response,
            status == 401 and oauth.says_expired(response.raw, refusal),
            limits.read_rate_limit(call.target, status, response.headers, refusal),
            None if status < 400 else retry_after(response.headers),
            response.close,
            request_id=request_id_in(response.headers),
        )

    def _is_own_page(self, url: str) -> bool:
        """Whether a URL is a page of HubSpot's app, or of what stands in for it."""
        try:
            page, own = urlsplit(url), urlsplit(self.consent_url)
        except ValueError:
            return False
        at_hubspot = page.scheme == "https" and OWN_PAGE.fullmatch(page.netloc) is not None
        at_own = (page.scheme, page.netloc) == (own.scheme, own.netloc)
        return (at_hubspot or at_own) and url.isprintable() and "\\" not in url


def _is_api_host(host: str) -> bool:
    return API_HOST.fullmatch(host) is not None


HUBSPOT = ProviderSpec(
    name="hubspot",
    label="HubSpot",
    build=HubSpot,
    settings={
        "hubspot_api_url": "https://api.hubapi.com",
        "hubspot_app_url": "https://app.hubspot.com",
        "hubspot_oauth_version": "2026-03",
    },
    consent_sources=("https://*.hubspot.com",),
    link_options=frozenset({CONTINUE}),
    needs_app_id=True,
    required_scopes=frozenset({"oauth"}),
    marketplace=True,
    refused_query_names=frozenset({"hapikey"}),
    names_hub=True,
    wording=WORDING,
    webhooks=HubSpotWebhooks(),
)
