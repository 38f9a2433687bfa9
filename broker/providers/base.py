"""What the broker needs of a provider: data as values, rules as functions, its endpoints as calls.

A provider is one package with a `Provider` and a `ProviderSpec`, and one line in `catalog.py`. Only
the package knows the vendor: services hold a `Provider` and never ask which one it is. What has a
sensible answer for most providers is implemented here; a package overrides what differs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

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
from broker.errors import InvalidRequest, wrong_field
from broker.providers.calls import destination, effects
from broker.providers.calls.answers import Answer
from broker.providers.calls.at_once import CallsAtOnce
from broker.providers.calls.effects import Effect
from broker.providers.calls.limits import QuotaLimit
from broker.providers.calls.retrying import RetryRules
from broker.providers.subscriptions import Subscriptions
from broker.providers.transport.failures import Failures
from broker.providers.transport.pools import Pools
from broker.providers.values import Callback, ConsentRequest, Exchange, HandedOver, Renewable
from broker.providers.webhooks import Webhooks
from broker.providers.wording import Wording


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a proxied call may take, in seconds."""

    connect: float = 5
    idle: float = 60
    total: float = 120


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What every provider is built from. `settings` are the values of those in the spec;
    `key_headers` are the headers in which API keys of the broker may arrive, of all providers;
    `allow_private`: hosts that users name may be at private addresses.
    """

    pools: Pools
    deadlines: Deadlines
    settings: Mapping[str, str]
    key_headers: frozenset[str]
    allow_private: bool = False


class Provider(CallsAtOnce, ABC):
    """A provider, as the services know it."""

    spec: "ProviderSpec"
    failures: Failures
    """Its errors; a request that may have been answered without the answer arriving raises one with
    a cause."""
    retry_rules: RetryRules = RetryRules()
    rotates: bool = False
    """Whether a renewal may bring a refresh token that ends the one before it."""
    deadlines: Deadlines

    @abstractmethod
    async def close(self) -> None:
        """End what was opened."""

    # Consent

    def check_link(self, _app: App, options: Mapping[str, str]) -> Mapping[str, str]:
        """The options of an install link, as they are stored. Raises InvalidRequest for options
        that the provider does not have, or whose values it cannot accept.
        """
        unknown = options.keys() - self.spec.link_options
        if unknown:
            raise wrong_field(min(unknown), "unknown field")
        return options

    def reconnect_options(self, _connection: Connection) -> Mapping[str, str]:
        """The options of a link for the account that a connection has, or had."""
        return {}

    def uses_pkce(self, app: App, _options: Mapping[str, str]) -> bool:
        """Whether a link's consent is bound to a PKCE verifier."""
        return app.pkce

    @abstractmethod
    def authorize_url(self, app: App, request: ConsentRequest) -> str:
        """Where a user consents."""

    def read_callback(self, query: Mapping[str, str]) -> Callback:
        """What the provider's redirect says (RFC 6749 section 4.1.2). Raises InvalidRequest."""
        state, code = query.get("state"), query.get("code")
        return Callback(
            query,
            Secret(state) if state else None,
            Secret(code) if code else None,
            query.get("error"),
        )

    def check_callback(self, _app: App, _callback: Callback, _options: Mapping[str, str]) -> None:
        """Raise InvalidRequest for a redirect with a code that the provider did not send, or that
        does not fit its link, whose options these are. The link stays usable.
        """

    def read_hand_over(self, _body: bytes) -> HandedOver:
        """What a provider that hands over keys sent, unproved. Raises InvalidRequest."""
        raise InvalidRequest(f"{self.spec.label} does not hand over keys.")

    @abstractmethod
    async def exchange(self, app: App, request: Exchange) -> Tokens:
        """Turn an authorization code into tokens.

        Raises GrantEnded for a code that is not accepted, CredentialsRefused for a client that is
        not, ExchangeFailed for another final refusal, ProviderUnavailable or ProviderTimeout for
        everything that may pass.
        """

    @abstractmethod
    async def identify(self, app: App, tokens: Tokens) -> Account | None:
        """The account that tokens belong to; None when they belong to none (any more). Raises
        ProviderUnavailable or ProviderTimeout; what the tokens say themselves counts then.
        """

    async def accounts(self, app: App, tokens: Tokens) -> Sequence[Account]:
        """The accounts that tokens can be used for, of which the user chooses one where there are
        several. Raises as `identify`.
        """
        account = await self.identify(app, tokens)
        return () if account is None else (account,)

    async def prove_access_token(self, _app: App, _access_token: Secret) -> Account | None:
        """The account of an access token that has no end and came from elsewhere; None when it is
        not accepted. Raises InvalidRequest where the provider has no such tokens.
        """
        raise InvalidRequest(f"{self.spec.label} has no access tokens without an end.")

    def import_details(self, _fields: Mapping[str, Secret]) -> Mapping[str, str]:
        """What a refresh token from elsewhere does not say of its grant, out of the import's other
        fields: the details of the connection. Raises InvalidRequest for what is missing.
        """
        return {}

    async def prove_credentials(
        self, _app: App, _fields: Mapping[str, Secret]
    ) -> tuple[Tokens, Account]:
        """Tokens and account of what an import brings instead of a token: `spec.import_fields`,
        those that are there. Raises InvalidRequest for what is missing or not accepted, and
        ProviderUnavailable or ProviderTimeout.
        """
        raise wrong_field("refreshToken", "is required, unless there is an accessToken")

    # Grants

    @abstractmethod
    async def refresh(self, client: ProviderClient, renewable: Renewable) -> Tokens:
        """Renew a grant. Raises as `exchange`; an error that has a cause is one of the connection,
        so that the answer may have been lost.
        """

    @abstractmethod
    async def revoke(
        self, client: ProviderClient, token: Secret, details: Mapping[str, str]
    ) -> bool:
        """Revoke a refresh token; whether the provider accepted that (or knew it no more). Raises
        ProviderUnavailable or ProviderTimeout when another attempt may help.
        """

    # Calls

    def effect_of(self, method: str, _target: str) -> Effect:
        """What a call does to the account's data."""
        return effects.effect_of_method(method)

    def allows(self, rules: Iterable[PolicyRule], method: str, target: str) -> bool:
        """Whether one of the rules covers a call."""
        return effects.allows(rules, method, self.effect_of(method, target), target)

    @abstractmethod
    def quota_of(self, method: str, target: str) -> QuotaLimit:
        """The limit that counts a call."""

    def check_call(self, target: str) -> None:
        """Raise InvalidRequest where a query holds credentials, which the broker adds itself."""
        names = self.spec.refused_query_names
        if "?" not in target or not names:
            return
        lower = target.lower()
        if "%" not in lower and not any(name in lower for name in names):
            return
        if found := names & destination.query_names(target):
            raise InvalidRequest(
                f"{min(found)} does not belong in a query; the broker adds the credentials."
            )

    @abstractmethod
    def target_of(self, url: str, connection: Connection) -> str:
        """The target of an absolute URL at the connection's API host. Raises DestinationRefused for
        any other host, InvalidRequest for what is not a URL.
        """

    @abstractmethod
    def template_of(self, target: str) -> str:
        """A target's path without what it names: fit for a log, for it holds no id, address or
        token. The target is a caller's and may be anything.
        """

    @abstractmethod
    async def send(
        self,
        call: ProxyCall,
        connection: Connection,
        grant: Grant,
        within: float,
        *,
        repeats: bool,
    ) -> Answer:
        """Send a call as one user; the provider's answer, still arriving, which the caller closes.

        `within` is in seconds, for the answer to its end; the deadlines apply as well. `repeats`:
        whether it may go out again where a kept connection proves dead. Raises ProviderUnavailable
        or ProviderTimeout when there is no answer, `unsent` when the provider certainly received
        nothing; a failure after the head is an OSError out of `chunks`, too late to refuse.
        """


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider as the catalog names it: everything that is known before a process has one.

    `settings` are the operator's settings that say where the vendor is reached, in lower case, with
    their defaults (None: the vendor's own hosts). `link_options` are the query parameters of an
    install link that the vendor needs. `key_headers` are headers, in lower case, in which the
    vendor's own clients put their token, so that a key of the broker may arrive in them.
    `refused_query_names` are credentials that the vendor takes in a query, in lower case.
    `required_scopes` have to stand among the scopes of every app, or no link works.
    `names_hub`: its accounts are HubSpot accounts, shown as `hubId` and `hubDomain` too;
    `marketplace`: installs may begin at the provider, without a link, and are claimed afterwards.
    `consent_sources` are further hosts that consent may lead through, as a CSP names them.
    `scopes` are all that there are, where the vendor has few. `hands_over_keys`: consent sends
    credentials to an address of the broker's, apart from the browser. `import_fields` are what an
    import may bring besides tokens, or with them.
    `chooses_account`: one consent may bring several accounts, of which the user chooses one.
    `wording`: what people read.
    `app_options` are settings that its apps have, with the values that each may have (None: others;
    `check_options` judges those, raises InvalidRequest and returns the options as they are stored).
    `subscriptions`: how webhook subscriptions in each account are kept, where there are any.
    `webhooks`: what it calls at `/{name}/{slug}-{UUID}/webhooks`, None where it calls nothing.
    """

    name: str
    label: str
    build: Callable[[ProviderContext], Provider]
    settings: Mapping[str, str | None]
    consent_sources: tuple[str, ...] = ()
    link_options: frozenset[str] = frozenset()
    needs_client: bool = True
    needs_app_id: bool = False
    required_scopes: frozenset[str] = frozenset()
    app_options: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    check_options: Callable[[Mapping[str, str]], Mapping[str, str]] = dict
    key_headers: frozenset[str] = frozenset()
    refused_query_names: frozenset[str] = frozenset()
    names_hub: bool = False
    scopes: frozenset[str] | None = None
    hands_over_keys: bool = False
    import_fields: frozenset[str] = frozenset()
    marketplace: bool = False
    chooses_account: bool = False
    webhooks: Webhooks | None = None
    subscriptions: Subscriptions | None = None
    wording: Wording = field(default_factory=Wording)

    def check_app(self, options: Mapping[str, str]) -> Mapping[str, str]:
        """An app's options as they are stored. Raises InvalidRequest."""
        for name, value in options.items():
            if name not in self.app_options:
                raise wrong_field(name, f"{self.label} apps have none")
            accepted = self.app_options[name]
            if accepted is not None and value not in accepted:
                raise wrong_field(name, f"must be one of {', '.join(sorted(accepted))}")
        return self.check_options(options)
