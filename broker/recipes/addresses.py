"""The addresses and pages that a recipe brings beside the ones that all have."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID


class IncomingEvent(Protocol):
    """A vendor's event whose body is arriving."""

    def update(self, part: bytes) -> None:
        """Hash the next part of the body."""

    async def accept(self, body: bytes) -> None:
        """Store the body, all of which was hashed; it is safe when this returns.

        Raises NotAuthenticated for what the vendor did not sign, InvalidRequest for what is not an
        event, Busy when it should be sent again.
        """


@dataclass(frozen=True, slots=True)
class VendorWebhook:
    """A vendor that calls `/{vendor}/{slug}-{UUID}/webhooks`.

    `signature_header` is taken where it stands exactly once and looks like a signature. `begin`
    gets the built recipe, workspace, lower-case slug and signature before a byte of the body is
    read; it raises NotAuthenticated where the vendor cannot have signed any, and Busy.
    """

    vendor: str
    signature_header: str
    signature_pattern: str
    max_bytes: int
    begin: Callable[[Any, UUID, str, str], Awaitable[IncomingEvent]]


@dataclass(frozen=True, slots=True)
class Route:
    """An address of a recipe's own; `handler` is a function of `Handlers` of the same name."""

    method: str
    path: str
    handlers: type
    handler: str


@dataclass(frozen=True, slots=True)
class StartRule:
    """When a recipe starts by itself with some settings, in a sentence. Where it does not,
    `to_choose` names what to choose in the settings; it is empty where it does. `events` are those
    of HubSpot's that start it, to which a developer subscribes the app.
    """

    words: str
    to_choose: str = ""
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConsolePanel:
    """A recipe's section of the console: its label, its pages, and the folder of its templates.
    `views` gets the console, the built recipe and the process's recipes; it makes one object for
    each type in `routes`. `starts` gets the settings. `partners` are the providers of which the
    users connect one besides HubSpot.
    """

    label: str
    templates: Path
    routes: tuple[Route, ...]
    views: Callable[[Any, Any, Any], Sequence[object]]
    starts: Callable[[Any], StartRule]
    partners: tuple[str, ...] = ()
