"""The sandboxes that run side by side, as their page and `broker sandbox` list them."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One vendor's sandbox.

    `settings` are the broker's settings that lead to it, `app` is the registered app by the fields
    of `POST /api/apps` (a client or key where the vendor has no apps), and `accounts` are the
    vendor's accounts that a person may connect.
    """

    vendor: str
    name: str
    url: str
    settings: dict[str, str] = field(default_factory=dict)
    app: dict[str, Any] = field(default_factory=dict)
    accounts: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The entry as a JSON object."""
        return asdict(self)
