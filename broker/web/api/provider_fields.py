"""Fields of an app that depend on its provider, judged by the provider's spec."""

from collections.abc import Collection, Mapping

from pydantic import SecretStr

from broker.errors import wrong_field
from broker.providers.catalog import BY_NAME


def check_scopes(provider: str, scopes: Collection[str], optional: Collection[str]) -> None:
    """Raise InvalidRequest for scopes that a provider of few scopes does not have."""
    spec = BY_NAME.get(provider)
    known = None if spec is None else spec.scopes
    for field, chosen in (("scopes", scopes), ("optionalScopes", optional)):
        if known is not None and not known.issuperset(chosen):
            raise wrong_field(field, f"must be some of {', '.join(sorted(known))}")


def check_webhook_secret(provider: str, secret: SecretStr | None) -> None:
    """Raise InvalidRequest for a webhook secret that nothing is signed with."""
    spec = BY_NAME.get(provider)
    if secret is None or spec is None or (spec.webhooks is not None and spec.webhooks.own_secret):
        return
    raise wrong_field("webhookSecret", f"{spec.label} signs with no secret of its own")


def check_options(provider: str, options: Mapping[str, str | None]) -> Mapping[str, str]:
    """The options of an app as they are stored, without those that are None. Raises InvalidRequest
    for those that its provider does not accept.
    """
    known = {name: value for name, value in options.items() if value is not None}
    return BY_NAME[provider].check_app(known)
