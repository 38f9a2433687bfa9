"""Salesforce as the broker's services know it."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from broker.domain.grants import Account, Tokens
from broker.domain.model import App, Connection, Grant, ProviderClient, ProxyCall, Secret
from broker.errors import (
    BrokerError,
    ExchangeFailed,
    InvalidRequest,
    ProviderUnavailable,
    wrong_field,
)
from broker.providers.base import Provider, ProviderContext, ProviderSpec
from broker.providers.calls import destination
from broker.providers.calls.answers import Answer, request_id_in
from broker.providers.calls.effects import Effect
from broker.providers.calls.encodings import decoded_body
from broker.providers.calls.headers import HeaderFilter, response_headers
from broker.providers.calls.limits import QuotaLimit, retry_after
from broker.providers.calls.upstream import Destinations, encode_call, peek_body
from broker.providers.oauth import GrantEnded
from broker.providers.salesforce import api, hosts, oauth
from broker.providers.salesforce.wording import WORDING
from broker.providers.transport.api_session import ApiResponse, ApiSession
from broker.providers.transport.failures import Failures
from broker.providers.values import ConsentRequest, Exchange, Renewable

log = logging.getLogger(__name__)

FAILURES = Failures("Salesforce")

ORGANIZATION = "SELECT+Id,Name+FROM+Organization"


class Salesforce(Provider):
    """Salesforce: an API host for each org, which every token answer names again."""

    failures = FAILURES
    retry_rules = api.RETRIES
    rotates = True  # where the org or the app has it; a used token ends the grant then

    def __init__(self, context: ProviderContext) -> None:
        self.spec = SALESFORCE
        self.deadlines = context.deadlines
        self._url = context.settings.get("salesforce_url")
        self._session = ApiSession(FAILURES)
        self._destinations = Destinations(context.pools)
        self._headers = HeaderFilter(context.key_headers)

    async def close(self) -> None:
        """End the connections of the broker's own requests."""
        await self._session.close()

    def authorize_url(self, app: App, request: ConsentRequest) -> str:
        """The consent page of the app's environment."""
        return oauth.authorize_url(hosts.login_url(app.options, self._url), app, request)

    async def exchange(self, app: App, request: Exchange) -> Tokens:
        """Turn an authorization code into tokens."""
        login = hosts.login_url(app.options, self._url)
        form = oauth.exchange_form(request.code, request.redirect_url, request.verifier)
        tokens = await self._first_tokens(login, app.client, form, {oauth.LOGIN: login})
        if tokens.api_url is None:
            with suppress(BrokerError):
                await self.revoke(
                    app.client, tokens.refresh_token or tokens.access_token, {oauth.LOGIN: login}
                )
            raise ExchangeFailed("Salesforce named an API host outside its own domains.")
        return tokens

    async def identify(self, _app: App, tokens: Tokens) -> Account | None:
        """The organization with its name, by one query; without a name where the user may not read
        it. An organization other than the one that the tokens name is none.
        """
        account = tokens.account
        if account is None or tokens.api_url is None:
            return None
        response = await self._session.request(
            "GET",
            f"{tokens.api_url}/services/data/v{api.VERSION}/query?q={ORGANIZATION}",
            headers={"Authorization": oauth.bearer(tokens.access_token)},
        )
        if response.status >= 500:
            raise ProviderUnavailable(f"Salesforce's API answered {response.status}.")
        found = oauth.read_organization(response.status, response.body)
        if found is None:
            return account
        if found[0][:15] != account.account_id[:15]:
            return None
        return replace(account, account_name=found[1])

    async def prove_credentials(
        self, app: App, _fields: Mapping[str, Secret]
    ) -> tuple[Tokens, Account]:
        """Tokens of the app itself, as the user that the org's admin lets it run as: client
        credentials, which need nothing but the app's My Domain.
        """
        login = hosts.org_url(app.options, self._url)
        details = {oauth.LOGIN: login, oauth.GRANT: oauth.CLIENT_CREDENTIALS}
        form = {"grant_type": oauth.CLIENT_CREDENTIALS}
        try:
            tokens = await self._first_tokens(login, app.client, form, details)
            account = await self.identify(app, tokens)
        except (GrantEnded, ExchangeFailed) as refused:
            why = refused.detail if isinstance(refused, ExchangeFailed) else None
            raise InvalidRequest(
                why or "Salesforce does not accept the app's credentials."
            ) from refused
        if account is None:
            raise wrong_field(hosts.MY_DOMAIN, "is not the org that the app's tokens are for")
        return tokens, account

    async def refresh(self, client: ProviderClient, renewable: Renewable) -> Tokens:
        """Renew a grant where it was made. Nothing is asked between the answer and its storage, so
        that the length of the session is the one that was learnt first.
        """
        login = self._login_of(client, renewable.details)
        if renewable.details.get(oauth.GRANT) == oauth.CLIENT_CREDENTIALS:
            form = {"grant_type": oauth.CLIENT_CREDENTIALS}
        elif renewable.refresh_token is None:
            raise GrantEnded("token-refused")
        else:
            form = oauth.refresh_form(renewable.refresh_token)
        tokens, _ = await self._request_tokens(login, client, form)
        if tokens.api_url is None:
            log.warning("api_host_refused", extra={"provider": self.spec.name})
        return replace(
            tokens,
            lifetime=oauth.session_of(renewable.details.get(oauth.SESSION)),
            refresh_expires_in=None if tokens.refresh_token is None else oauth.IDLE_S,
            details=None if renewable.details else {oauth.LOGIN: login},
        )

    async def revoke(
        self, client: ProviderClient, token: Secret, details: Mapping[str, str]
    ) -> bool:
        """Revoke a refresh token, which ends its sessions."""
        response = await self._post(
            f"{self._login_of(client, details)}/services/oauth2/revoke",
            oauth.token_form(token, "refresh_token"),
        )
        if response.status >= 500:
            raise ProviderUnavailable(f"Salesforce's revocation answered {response.status}.")
        return response.status in {200, 400}  # 400: it knows the token no more

    def effect_of(self, method: str, target: str) -> Effect:
        """What a call does, by the gravest that it may hold."""
        return api.effect_of(method, target)

    def quota_of(self, _method: str, _target: str) -> QuotaLimit:
        """All calls of an org are counted together."""
        return api.CALLS

    def check_call(self, target: str) -> None:
        """Also refuses `_HttpMethod`, by which a POST is another method than it shows."""
        super().check_call(target)
        if "?" in target and api.METHOD_OVERRIDE in destination.query_names(target):
            raise InvalidRequest("Send the method itself instead of _HttpMethod.")

    def target_of(self, url: str, connection: Connection) -> str:
        """The target of a URL at the connection's org."""
        return destination.target_of(
            url,
            (connection.api_url or "",),
            lambda host: self._url is not None and hosts.is_salesforces(host),
            "the connected org",
        )

    def template_of(self, target: str) -> str:
        """A path without ids and values."""
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
        """Send a call as one user, to the host that came with the token."""
        there = self._destinations.at(grant.api_url or connection.api_url or "")
        name = api.token_header(call.target)
        token = grant.access_token
        value = oauth.bearer(token) if name == "Authorization" else oauth.session_header(token)
        request, rest = encode_call(call, there, self._headers, ((name, value),))
        try:
            answer = await there.pool.send(
                request,
                rest,
                min(within, self.deadlines.total),
                bodiless=call.method == "HEAD",
                repeats=repeats,
            )
            refusal = await peek_body(answer) if answer.status in api.PEEKED else b""
        except OSError as error:
            raise FAILURES.refusal(error) from error
        if refusal:
            refusal = decoded_body(answer.raw, refusal)
        limits = api.read_rate_limit(answer.status, answer.headers, refusal)
        wait = None if answer.status < 400 else retry_after(answer.headers)
        throttled = limits is not None and limits.refused_by is not None
        return Answer(
            answer.status,
            answer.reason,
            response_headers(answer.raw),
            answer,
            api.rejects_token(call.method, answer.status, refusal),
            limits,
            wait,
            answer.close,
            throttled=throttled and answer.status != 429,
            request_id=request_id_in(answer.headers),
        )

    async def _first_tokens(
        self,
        login: str,
        client: ProviderClient,
        form: Mapping[str, str],
        details: dict[str, str],
    ) -> Tokens:
        """Tokens of a new grant, with whose they are and how long a session lasts, where the
        introspection says so; else its end is learnt from a refused call.
        """
        tokens, issued_at = await self._request_tokens(login, client, form)
        session = None
        with suppress(BrokerError):
            response = await self._post(
                f"{login}/services/oauth2/introspect",
                oauth.client_form(client) | oauth.token_form(tokens.access_token, "access_token"),
            )
            session = oauth.read_session(response.status, response.body, issued_at)
        if session is None:
            return replace(tokens, details=details)
        seconds, user = session
        return replace(
            tokens,
            lifetime=seconds,
            account=tokens.account and replace(tokens.account, user=user or None),
            details={**details, oauth.SESSION: str(round(seconds))},
        )

    async def _request_tokens(
        self, login: str, client: ProviderClient, form: Mapping[str, str]
    ) -> tuple[Tokens, float | None]:
        response = await self._post(
            f"{login}/services/oauth2/token", {**oauth.client_form(client), **form}
        )
        tokens = oauth.read_tokens(response.status, response.body, self._url)
        return tokens, oauth.issued_at(response.body)

    async def _post(self, url: str, form: Mapping[str, str]) -> ApiResponse:
        return await self._session.request("POST", url, form=form)

    def _login_of(self, client: ProviderClient, details: Mapping[str, str]) -> str:
        return self._url or details.get(oauth.LOGIN) or hosts.login_url(client.options, None)


SALESFORCE = ProviderSpec(
    name="salesforce",
    label="Salesforce",
    build=Salesforce,
    settings={"salesforce_url": None},
    consent_sources=("https://*.salesforce.com", "https://*.force.com"),
    app_options={
        hosts.ENVIRONMENT: frozenset(hosts.LOGIN_HOSTS),
        hosts.MY_DOMAIN: None,
    },
    check_options=hosts.check_options,
    key_headers=frozenset({"x-sfdc-session"}),
    refused_query_names=frozenset({"access_token", "oauth_token", "sid"}),
    wording=WORDING,
)
