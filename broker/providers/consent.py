"""A user's way to a provider's consent and back, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from broker.domain.model import Secret


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """A user's way to a provider's consent page. `options` are the link's, as `check_link` returned
    them; `verifier` is the PKCE verifier of an app that uses PKCE.
    """

    redirect_url: str
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
class Exchange:
    """An authorization code on its way to become tokens, with the link that it answers."""

    code: Secret
    redirect_url: str
    verifier: Secret | None
    query: Mapping[str, str]
    options: Mapping[str, str]
