"""What can be changed about the simulated QuickBooks Online and its companies."""

from dataclasses import dataclass

DAY_S = 86_400.0


@dataclass(slots=True)
class Levers:
    """Spans are in seconds.

    `rotate_after` is how old the value of a refresh token gets before a refresh replaces it;
    `refresh_lifetime` how long one value lives; `hard_cap` how long a person's consent lives
    whatever is refreshed. `propagation` is how long a new access token is refused in places.
    `auto_consent` is the realm id that every consent is given for, or None. `stale` is how many of
    the next updates find the record changed meanwhile. `reads_per_month` is for each app.
    `environment` is which of Intuit's hosts this port plays: companies of the other one answer
    3100. `webhook_form` is cloudevents or legacy.
    """

    access_lifetime: int = 3600
    code_lifetime: int = 600
    refresh_lifetime: int = 8_726_400
    hard_cap: int = 157_680_000
    rotate_after: float = DAY_S
    describes_errors: bool = True
    auto_consent: str | None = None
    propagation: float = 0.0
    requests_per_second: int = 10
    requests_per_minute: int = 500
    reads_per_month: int = 500_000
    emails_per_day: int = 40
    requestid_ignored: bool = False
    stale: int = 0
    xml_without_accept: bool = True
    environment: str = "sandbox"
    webhook_form: str = "cloudevents"
    webhook_content_type: str = "application/json"


@dataclass(slots=True)
class Settings:
    """What a company's owner or its country decides.

    `country` is US, CA, UK or AU; `ast` is automated sales tax (US only); `closed_until` is a date
    (YYYY-MM-DD) up to which the books are closed; `subscription` is active or ended; `access` is
    whether the user who connected may still see the company.
    """

    name: str
    country: str = "US"
    timezone: str = "America/Los_Angeles"
    environment: str = "sandbox"
    multicurrency: bool = False
    ast: bool = True
    closed_until: str = ""
    custom_numbers: bool = False
    unique_numbers: bool = True
    needs_service_date: bool = False
    subscription: str = "active"
    access: bool = True

    @property
    def home_currency(self) -> str:
        """The currency of the company's country."""
        return {"US": "USD", "CA": "CAD", "UK": "GBP", "AU": "AUD"}[self.country]
