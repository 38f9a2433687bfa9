"""The types of an app's fields, and the rules that limit its calls."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from broker.providers.catalog import BY_NAME
from broker.web.core.patterns import Matches
from broker.web.core.requests import RequestModel, Text


def _page_address(url: str) -> str:
    parts = urlsplit(url)
    local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if parts.scheme not in ({"http", "https"} if local else {"https"}) or not parts.hostname:
        raise ValueError("must be an https URL (http only for localhost)")
    if parts.fragment or parts.username or "\\" in url or " " in url:
        raise ValueError("must not contain a fragment, user information, a space or a backslash")
    return url


def _origin(url: str) -> str:
    _page_address(url)
    parts = urlsplit(url)
    if f"{parts.scheme}://{parts.netloc}" != url:
        raise ValueError("must be an origin such as https://product.example, without a path")
    return url


def _secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().isprintable() or " " in value.get_secret_value():
        raise ValueError("must not contain spaces or control characters")
    return value


Scope = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}",
        "must be a scope as the provider writes it, such as crm.objects.contacts.read",
    ),
]
Slug = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}",
        "must have 1 to 63 letters, digits, hyphens and underscores, and begin with a letter or "
        "digit",
    ),
]
AppId = Annotated[str, Matches(r"[0-9]{1,20}", "must be a number")]
RulePath = Annotated[
    str,
    Matches(r"/[!-~]{0,1023}", "must be a path such as /crm/v3/objects/contacts* (ASCII only)"),
]
Scopes = Annotated[list[Scope], Field(max_length=200)]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
PageUrl = Annotated[Text, AfterValidator(_page_address)]
Origin = Annotated[Text, AfterValidator(_origin)]
ClientSecret = Annotated[SecretStr, AfterValidator(_secret), Field(min_length=1, max_length=1024)]
DisplayName = Annotated[Text, Field(max_length=100)]


class Rule(RequestModel):
    """Methods and a path pattern that calls may use; `*` stands for anything."""

    methods: list[Method] = Field(min_length=1)
    path: RulePath


Policy = Annotated[list[Rule], Field(max_length=200)]


def _provider(name: str) -> str:
    if name not in BY_NAME:
        raise ValueError(f"must be one of {', '.join(BY_NAME)}")
    return name


ProviderName = Annotated[str, AfterValidator(_provider)]


def rule_of_text(text: str) -> dict[str, Any]:
    """A policy rule from a line such as `GET,POST /crm/v3/objects/contacts*`, not yet checked."""
    methods, _, path = text.strip().partition(" ")
    return {"methods": methods.upper().split(","), "path": path.strip()}


def text_of_rule(rule: Mapping[str, Any]) -> str:
    """The line that `rule_of_text` reads."""
    return f"{','.join(rule['methods'])} {rule['path']}"
