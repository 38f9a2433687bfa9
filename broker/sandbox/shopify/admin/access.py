"""The caller's rights: scopes and protected customer data."""

from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError

from broker.sandbox.shopify.apps import App
from broker.sandbox.shopify.grants import AccessToken
from broker.sandbox.shopify.store.records import Shop
from broker.sandbox.shopify.world import Shopify

SCOPES_PAGE = "https://shopify.dev/api/usage/access-scopes"
DATA_PAGE = "https://shopify.dev/docs/apps/launch/protected-customer-data"


@dataclass(slots=True)
class Call:
    """A call to the Admin API that was let in. `version` is the one that answers; `searches`
    gathers what a search did not understand.
    """

    world: Shopify
    shop: Shop
    app: App
    access: AccessToken
    version: str
    searches: list[dict[str, Any]] = field(default_factory=list)

    @property
    def personal(self) -> bool:
        """Whether names, addresses, e-mail and phone are shown."""
        return self.world.levers.pii and self.app.protected_data >= 2

    def require(self, scope: str, name: str) -> None:
        """Refuse a field unless the token has the scope. Raises GraphQLError."""
        granted = set(self.access.scopes)
        if scope in granted or scope.replace("read_", "write_") in granted:
            return
        needed = f"`{scope}` access scope."
        raise GraphQLError(
            f"Access denied for {name} field. Required access: {needed}",
            extensions={
                "code": "ACCESS_DENIED",
                "documentation": SCOPES_PAGE,
                "requiredAccess": needed,
            },
        )

    def require_data(self, kind: str) -> None:
        """Refuse protected objects to an app that is not approved for them. Raises GraphQLError."""
        if self.app.protected_data >= 1:
            return
        raise GraphQLError(
            f"This app is not approved to access the {kind} object. See {DATA_PAGE} for more "
            "details.",
            extensions={"code": "ACCESS_DENIED", "documentation": DATA_PAGE},
        )
