"""Apps, as registered in Shopify's Dev Dashboard."""

from dataclasses import dataclass, field

OLD_SECRET_HOLDS_S = 3600


@dataclass(slots=True)
class App:
    """An app. A `public` one must take expiring tokens; `own_shops` are the stores of its own
    organization, where client credentials work.

    `protected_data` is the approved level of protected customer data: 0 none, 1 orders and
    customers, 2 names, addresses, e-mail and phone as well. `subscriptions` are topics of the app's
    configuration with their addresses, the compliance topics among them.
    """

    client_id: str
    client_secret: str
    scopes: list[str]
    redirect_urls: list[str]
    name: str = "App"
    public: bool = True
    own_shops: list[str] = field(default_factory=list)
    protected_data: int = 2
    subscriptions: dict[str, str] = field(default_factory=dict)
    previous_secret: str = ""
    rotated_at: float = 0.0

    def rotate(self, secret: str, now: float) -> None:
        """Give the app a new secret; the old one may sign webhooks for an hour more."""
        self.previous_secret, self.rotated_at = self.client_secret, now
        self.client_secret = secret

    def old_secret(self, now: float) -> str:
        """The secret before the last rotation while it still signs, else the present one."""
        fresh = self.previous_secret and now < self.rotated_at + OLD_SECRET_HOLDS_S
        return self.previous_secret if fresh else self.client_secret
