"""Salesforce's hosts: where users log in, where an org's API is, and which are Salesforce's at all.
No I/O.

Sources: Salesforce Help, "My Domain URL Formats" (every host of an org ends in `.salesforce.com` or
`.force.com`); "OAuth Endpoints" (the same paths at every login host and at My Domain).
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from broker.errors import wrong_field

ENVIRONMENT = "environment"
MY_DOMAIN = "myDomain"

LOGIN_HOSTS = {
    "production": "https://login.salesforce.com",
    "sandbox": "https://test.salesforce.com",
}
"""Where users log in, by the app's environment. A user of one is unknown at the other."""

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
OWN = re.compile(rf"(?:{LABEL}\.)+(?:salesforce|force)\.com")
OF_ORG = re.compile(rf"(?:{LABEL}\.)+my\.salesforce\.com")


def is_salesforces(host: str) -> bool:
    """Whether a host, in lower case, perhaps with the port of https, is one of Salesforce's."""
    return OWN.fullmatch(host.removesuffix(":443")) is not None


def check_options(options: Mapping[str, str]) -> Mapping[str, str]:
    """The options of an app as they are stored: My Domain as a host. Raises InvalidRequest."""
    domain = options.get(MY_DOMAIN)
    if domain is None:
        return options
    host = domain.strip().lower().removeprefix("https://").rstrip("/")
    if "." not in host:
        host += ".my.salesforce.com"
    if not OF_ORG.fullmatch(host):
        raise wrong_field(MY_DOMAIN, "must be a My Domain such as acme.my.salesforce.com")
    return {**options, MY_DOMAIN: host}


def login_url(options: Mapping[str, str], override: str | None) -> str:
    """Where the users of an app log in; `override` stands for all of Salesforce's hosts."""
    return override or LOGIN_HOSTS[options.get(ENVIRONMENT, "production")]


def org_url(options: Mapping[str, str], override: str | None) -> str:
    """The org of an app's own, where client credentials are accepted. Raises InvalidRequest."""
    domain = options.get(MY_DOMAIN)
    if domain is None:
        raise wrong_field(
            MY_DOMAIN, "is missing: a grant without a user needs the org's My Domain in the app"
        )
    return override or f"https://{domain}"


def api_url(instance_url: object, override: str | None) -> str | None:
    """Where an org's API is, by the `instance_url` of a token answer; None for an address outside
    Salesforce's domains, which is never called.

    With an `override` Salesforce's own hosts stand for it, and addresses of its host count too: a
    sandbox has a port for each org.
    """
    if not isinstance(instance_url, str):
        return None
    try:
        parts = urlsplit(instance_url)
        own = urlsplit(override or "")
        more = parts.query or parts.fragment or "@" in parts.netloc
        plain = parts.path in {"", "/"} and not more
        here = (parts.scheme, parts.hostname) == (own.scheme, own.hostname)
        _ = parts.port
    except ValueError:
        return None
    netloc = parts.netloc.lower()
    if not plain or not instance_url.isascii() or not instance_url.isprintable():
        return None
    if here and override is not None:
        return f"{parts.scheme}://{netloc}"
    if parts.scheme != "https" or not is_salesforces(netloc):
        return None
    return override or f"https://{netloc.removesuffix(':443')}"
