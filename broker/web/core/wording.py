"""What errors mean to a person who is not a programmer, and what to do next.

The words of a provider come from its spec; where it is not known whose page it would have been,
they are about the user's account.
"""

from dataclasses import dataclass

from broker.errors import code_titles
from broker.providers.catalog import BY_NAME
from broker.providers.wording import Wording

AGAIN = "Go back to the product that you wanted to connect, and start again there."

REFUSALS = {
    "consent-denied": (
        "You did not allow the connection at {label}.",
        "If that was a mistake, open the link again.",
    ),
    "invalid-request": ("This link is incomplete, or it is not one of ours.", AGAIN),
    "link-used": (
        "Each link works once, and this one was used.",
        "If {label} is not connected yet, start again from the product.",
    ),
    "link-expired": ("This link is too old.", AGAIN),
    "scopes-missing": (
        "{label} granted fewer permissions than the product needs.",
        "Ask {admin} to connect it.",
    ),
    "exchange-failed": ("{label} no longer accepts this sign-in.", AGAIN),
    "portal-mismatch": (
        "You chose a different {account} from the one that is connected now.",
        "Your current account stays connected. Go back to the product to confirm the change.",
    ),
    "credentials-refused": (
        "{label} rejects the product's client id or secret. This is not your fault.",
        "Tell the product's support. Once it is fixed, open the same link again.",
    ),
    "vendor-unavailable": (
        "{label} could not be reached just now.",
        "Open the same link again in a minute.",
    ),
    "vendor-timeout": (
        "{label} did not respond in time.",
        "Open the same link again in a minute.",
    ),
    "other-browser": (
        "You started connecting in a different browser.",
        "Finish it there, or go back to the product and start again in this one.",
    ),
    "install-not-stored": (
        "Something went wrong on our side while we stored the connection.",
        AGAIN,
    ),
    "origin-refused": (
        "The page that opened this window is not allowed to connect {label} here.",
        "Nothing was connected. Tell the product's support.",
    ),
    "busy": ("We are overloaded right now.", "Open the same link again in a minute."),
    "app-not-found": ("No such page.", AGAIN),
    "not-found": ("No such page.", AGAIN),
}
"""What an error means to the person who sees it, and what to do next. A provider with codes of its
own names the common one in `ALIKE`."""

HEADINGS = {
    "consent-denied": "You did not allow the connection",
    "invalid-request": "This link does not work",
    "link-used": "This link was already used",
    "link-expired": "This link has expired",
    "scopes-missing": "More permissions are needed",
    "exchange-failed": "This sign-in has expired",
    "portal-mismatch": "One more step",
    "credentials-refused": "The product needs to fix its {label} app",
    "vendor-unavailable": "{label} could not be reached",
    "vendor-timeout": "{label} did not respond",
    "other-browser": "Finish in the other browser",
    "install-not-stored": "Please start again",
    "origin-refused": "This page is not registered",
    "busy": "Please try again in a minute",
    "app-not-found": "Page not found",
    "not-found": "Page not found",
}
"""What stands above it. Whether the user is connected, by an earlier link, is not known there."""

REASONS = {
    "uninstalled": "The app was uninstalled from the account.",
    "rotation-lost": "{label} issued a new refresh token, and the answer that held it was lost.",
    "token-refused": "{label} no longer accepts the token.",
    "key-refused": "{label} no longer accepts the key.",
    "invalid_grant": "{label} has ended this access.",
}
"""Why a grant ended, for operators, by the code that a connection keeps; a provider's own codes are
in its wording."""

ALIKE = {"hubspot-unavailable": "vendor-unavailable", "hubspot-timeout": "vendor-timeout"}

UNKNOWN = "your account"

OURS_HEADING = "Something went wrong"

OURS = ("Something went wrong on our side.", "Open the link again in a minute.")


@dataclass(frozen=True, slots=True)
class Explained:
    """A refusal for a person."""

    heading: str
    explanation: str
    next_step: str


def label_of(provider: str | None) -> str:
    """What people call a provider."""
    spec = BY_NAME.get(provider or "")
    return UNKNOWN if spec is None else spec.label


def wording_of(provider: str | None) -> Wording:
    """The words of a provider; plain ones where it is not known."""
    spec = BY_NAME.get(provider or "")
    return Wording() if spec is None else spec.wording


def describe_reason(code: str, provider: str | None) -> str | None:
    """Why a connection was not renewed, for an operator; None where no more is known than the
    code.
    """
    found = wording_of(provider).reasons.get(code) or REASONS.get(code)
    return code_titles().get(code) if found is None else found.format(label=label_of(provider))


def explain(code: str, provider: str | None) -> Explained:
    """What a refusal means to the person who sees it, and what to do next."""
    code = ALIKE.get(code, code)
    wording, label = wording_of(provider), label_of(provider)
    words = {"label": label, "account": wording.account, "admin": wording.admin}
    explanation, next_step = REFUSALS.get(code, OURS)
    heading = HEADINGS.get(code, OURS_HEADING)
    texts = (text.format(**words) for text in (heading, explanation, next_step))
    return Explained(*(text[:1].upper() + text[1:] for text in texts))
