"""What is written onto a contact, and what is not: a rule for each property, over what is there and
how HubSpot defines it. No I/O.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.recipes.enrichment.models import FieldRule

NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,10})?")
GRADES = frozenset({"jr", "sr", "ii", "iii", "iv", "dr", "prof", "phd", "md"})
ENRICHMENT = "ENRICH"
"""Part of the name of HubSpot's own enrichment as the source of a value."""

Definitions = Mapping[str, Mapping[str, Any]]


@dataclass(slots=True)
class Plan:
    """The properties to write, what each that is not empty was, and why others are left alone."""

    changes: dict[str, str] = field(default_factory=dict)
    overwritten: dict[str, str] = field(default_factory=dict)
    skipped: list[dict[str, str]] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    """Properties that have the value already."""

    def skip(self, name: str, why: str) -> None:
        """Leave a property alone."""
        self.skipped.append({"field": name, "why": why})


def plan(
    rules: Mapping[str, FieldRule],
    known: Mapping[str, str],
    current: Mapping[str, str | None],
    definitions: Definitions,
    sources: Mapping[str, str],
) -> Plan:
    """What to write. `current` are the contact's values, `sources` what wrote each of them."""
    made = Plan()
    for name, rule in rules.items():
        text, definition, value = known.get(rule.source), definitions.get(name), current.get(name)
        if rule.policy == "never":
            made.skip(name, "never")
        elif text is None:
            made.skip(name, "vendor-does-not-know")
        elif definition is None:
            made.skip(name, "no-such-property")
        elif value and rule.policy == "fill" and value != text:
            made.skip(name, "has-a-value")
        else:
            _decide(made, name, text, value, definition, sources.get(name, ""))
    return made


def _decide(
    made: Plan, name: str, text: str, value: str | None, definition: Mapping[str, Any], source: str
) -> None:
    fitting, why = _fitting(definition, text)
    if fitting is None:
        made.skip(name, why)
    elif value == fitting:
        made.same.append(name)
    elif value and ENRICHMENT in source.upper():
        made.skip(name, "filled-by-hubspot")
    else:
        made.changes[name] = fitting
        if value:
            made.overwritten[name] = value


def _fitting(definition: Mapping[str, Any], text: str) -> tuple[str | None, str]:
    """The text as the property takes it, or None and why it does not."""
    kind = definition.get("type")
    metadata = definition.get("modificationMetadata") or {}
    if definition.get("calculated") or metadata.get("readOnlyValue"):
        return None, "read-only"
    if kind == "string":
        return text, ""
    if kind == "number":
        return (text, "") if NUMBER.fullmatch(text) else (None, "not-a-number")
    if kind == "enumeration":
        wanted = text.casefold()
        for option in definition.get("options") or ():
            names = (str(option.get("value")).casefold(), str(option.get("label")).casefold())
            if wanted in names:
                return str(option["value"]), ""
        return None, "not-an-option"
    return None, "wrong-type"


def is_same_person(email: str, contact: Mapping[str, str | None], known: Mapping[str, str]) -> bool:
    """Whether what a vendor knows can be of this contact: the last name or the employer's domain
    agrees, or there is neither to compare.
    """
    compared = []
    last, theirs = contact.get("lastname"), known.get("last_name") or known.get("full_name")
    if last and theirs:
        compared.append(bool(_words(last) & _words(theirs)))
    domain = known.get("company_domain")
    host = email.rpartition("@")[2]
    if domain:
        bare = domain.lower().removeprefix("https://").removeprefix("http://")
        bare = bare.removeprefix("www.").partition("/")[0]
        compared.append(host == bare or host.endswith(f".{bare}") or bare.endswith(f".{host}"))
    return not compared or any(compared)


def _words(name: str) -> set[str]:
    return {word for word in re.findall(r"\w+", name.casefold()) if word not in GRADES}
