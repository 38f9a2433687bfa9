"""The values that travel between services and providers: consent, its end, renewal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from broker.domain.model import Secret


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """A user's way to a provider's consent page. `options` are the link's, as `check_link` returned
    them; `verifier` is the PKCE verifier of an app that uses PKCE; `keys_url` is where a provider
    that hands over keys sends them.
    """

    redirect_url: str
    keys_url: str
    scopes: Sequence[str]
    state: Secret
    verifier: Secret | None
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Callback:
    """What a provider's redirect brought: `query` holds every parameter that stood once, `error` is
    OAuth's. `page` is a page of the provider's where the browser is to end; `wants_sign_in`: the
    provider sends a user who has yet to sign in to the product.
    """

    query: Mapping[str, str]
    state: Secret | None
    code: Secret | None
    error: str | None
    page: str | None = None
    needs_sign_in: bool = False


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Credentials that a provider sent apart from the browser, and the state of their link."""

    state: Secret
    credentials: Secret


@dataclass(frozen=True, slots=True)
class Exchange:
    """An authorization code on its way to become tokens, with the link that it answers. Where keys
    are handed over, `code` holds them as `read_hand_over` gave them.
    """

    code: Secret
    redirect_url: str
    verifier: Secret | None
    query: Mapping[str, str]
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Renewable:
    """What a grant is renewed with. `refresh_token` is None where there is none; `access_token` and
    `api_url` are the present ones, None for a grant that comes from elsewhere.
    """

    refresh_token: Secret | None
    account_id: str | None
    details: Mapping[str, str]
    access_token: Secret | None = None
    api_url: str | None = None
