"""What can be changed about the simulated Xero and its organisations."""

from dataclasses import dataclass, field

DAY_S = 86_400


@dataclass(slots=True)
class Levers:
    """Spans are in seconds.

    `grace` is how long a used refresh token can be used again. With `granular_scopes` the app was
    made after 2026-03-02 and the broad scopes are refused. `auto_consent` lists the tenant ids that
    every consent is given for, or is None. `connection_limit` is how many organisations an app may
    be connected to. With `itr` a webhook sends nothing before it has passed the intent to receive.
    `work` is how long each call of the API takes, so that calls meet.
    """

    access_lifetime: int = 1800
    code_lifetime: int = 300
    refresh_lifetime: int = 60 * DAY_S
    grace: int = 1800
    granular_scopes: bool = True
    auto_consent: list[str] | None = None
    connection_limit: int = 5
    minute_limit: int = 60
    day_limit: int = 5000
    app_minute_limit: int = 10_000
    concurrent_limit: int = 5
    idempotency_window: int = 360
    itr: bool = True
    work: float = 0.0
    xml_without_accept: bool = True


@dataclass(slots=True)
class Settings:
    """What an organisation decides. `lock_date` is a date (YYYY-MM-DD) up to which nothing can be
    written; `currencies` are those it subscribed to beside its own.
    """

    name: str
    country: str = "NZ"
    currency: str = "NZD"
    timezone: str = "Pacific/Auckland"
    currencies: list[str] = field(default_factory=list)
    lock_date: str = ""
