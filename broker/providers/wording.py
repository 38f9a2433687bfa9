"""What people read about a provider: on the connect page, in the console. No I/O.

`{product}` in a text is the product's name. Colour and letters stand for the vendor in a mark of
the broker's own; no vendor's logo is used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Question:
    """What a link has to know and the user can say: an option of the link as a field of a form."""

    label: str
    placeholder: str
    hint: str


@dataclass(frozen=True, slots=True)
class Example:
    """A call to try."""

    method: str
    path: str
    body: str = ""


def unexplained(scope: str) -> str:
    """The scope itself."""
    return scope


@dataclass(frozen=True, slots=True)
class Wording:
    """A provider's words; plain ones unless it has others.

    `account`: what the vendor calls an account of a customer; `admin`: who may connect it;
    `consent`: what happens next at the vendor; `optional`: when an optional scope is granted;
    `ending`: what the user keeps and where to end it. `scopes` are offered for choosing, the
    `usual_scopes` ticked; `describe_scope` is a scope in plain words, or itself.
    `credentials_from`: where client id and secret stand at the vendor. `reasons`: why a grant
    ended, by the vendor's own code, for operators.
    """

    account: str = "account"
    admin: str = "an administrator of your account"
    consent: str = "Next, you are asked whether you agree. You need to be allowed to do so there."
    optional: str = "only if your account has it"
    ending: str = "We never see your password, and you can disconnect at any time."
    colour: str = "#3d4a57"
    letters: str = ""
    scopes: tuple[str, ...] = ()
    usual_scopes: tuple[str, ...] = ()
    describe_scope: Callable[[str], str] = unexplained
    credentials_from: str = "the settings of your app at the vendor"
    reasons: Mapping[str, str] = field(default_factory=dict)
    questions: Mapping[str, Question] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
