"""The environment as one frozen Settings; every problem is reported at once.

Only the assembly and the commands read this module; parts get plain values.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

PREFIX = "BROKER_"

INJECTED = (
    (re.compile(r"\w*_SERVICE_HOST"), re.compile(r"[\w.:-]+")),
    (re.compile(r"\w*_SERVICE_PORT(_\w+)?"), re.compile(r"\d+")),
    (re.compile(r"\w*_PORT(_\d+_(TCP|UDP|SCTP))?"), re.compile(r"(tcp|udp|sctp)://\S+")),
    (re.compile(r"\w*_PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)"), re.compile(r"\S+")),
    (re.compile(r"\w*_NAME"), re.compile(r"/\S+")),
    (re.compile(r"\w*_ENV_\w+"), re.compile(r".*", re.DOTALL)),
)
"""What Kubernetes sets for each Service, and docker for each link, whose name begins with `broker`:
patterns of the name and of the value. (Kubernetes: "Service", environment variables; docker:
"Legacy container links".)
"""

MAY_SPAN_LINES = {"sealing_keys"}
"""A list may come from a file with an entry a line."""


class SettingsProblems(Exception):
    """The settings cannot be used. `problems` holds one line each, naming the variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: object) -> "Address":
        if isinstance(text, Address):
            return text
        host, colon, port = str(text).rpartition(":")
        host = host.strip("[]")
        if not colon or not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError("must be host:port, for example 127.0.0.1:8080")
        return cls(host, int(port))


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("must be a URL such as https://broker.example") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL such as https://broker.example")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must not contain a query, a fragment or credentials")
    # HubSpot signs over the form that a browser would use.
    return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path.rstrip("/"), "", ""))


def _lower(text: object) -> object:
    return text.lower() if isinstance(text, str) else text


def _networks(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return tuple(ip_network(each.strip()) for each in text.split(",") if each.strip())
    except ValueError:
        raise ValueError(
            "must be addresses or networks, such as 10.0.0.0/8, comma separated"
        ) from None


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]
Url = Annotated[str, AfterValidator(_web_address)]
Listen = Annotated[Address, BeforeValidator(Address.parse)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Settings(BaseModel):
    """What an operator may decide. `docs/operating.md` has a row for each.

    Further fields say where a provider is reached; which ones there are is known to the catalog of
    providers, and `from_env` refuses all others.
    """

    model_config = ConfigDict(
        frozen=True, extra="allow", hide_input_in_errors=True, arbitrary_types_allowed=True
    )
    __pydantic_extra__: dict[str, Url] = Field(init=False)

    database_url: SecretStr | None = None
    migration_database_url: SecretStr | None = None
    database_pool_size: Annotated[int, Field(ge=4, le=500)] = 10
    data_dir: Path | None = None
    public_url: Url = "http://localhost:8080"
    listen: Listen = Address("127.0.0.1", 8080)
    metrics_listen: Listen = Address("127.0.0.1", 9090)
    trusted_proxies: Networks = ()
    sealing_keys: SecretStr | None = None
    migrate_on_start: bool = False
    work_in_serve: bool = True
    hubspot_api_url: Url = "https://api.hubapi.com"
    hubspot_app_url: Url = "https://app.hubspot.com"
    hubspot_oauth_version: Annotated[
        str, BeforeValidator(_lower), Field(pattern=r"^(v3|\d{4}-\d{2}(-beta)?)$")
    ] = "2026-03"
    fml_url: Url = "https://www.firstmilelabs.com"
    hunter_url: Url | None = None
    peopledatalabs_url: Url | None = None
    apollo_url: Url | None = None
    fullcontact_url: Url | None = None
    clearbit_url: Url | None = None
    upstream_connect_s: Seconds = 5
    upstream_idle_s: Seconds = 60
    upstream_total_s: Seconds = 120
    upstream_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    quota_wait_s: Annotated[float, Field(ge=0, le=120)] = 10
    max_body_mb: Annotated[int, Field(ge=1, le=2048)] = 100
    cached_connections: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    renewals_per_s: Annotated[int, Field(ge=1, le=1000)] = 50
    work_pause_s: Annotated[float, Field(ge=0.25, le=60)] = 2
    readiness_grace_s: Annotated[float, Field(ge=0, le=120)] = 2
    drain_s: Annotated[float, Field(ge=1, le=600)] = 10
    renew_ahead_days: Annotated[int, Field(ge=1, le=3650)] = 30
    call_log_days: Annotated[int, Field(ge=0, le=3650)] = 30
    allow_private_endpoints: bool = False
    log_format: Annotated[Literal["json", "console"], BeforeValidator(_lower)] | None = None

    @property
    def direct_url_name(self) -> str:
        """The variable that says where migrations and LISTEN go."""
        name = "DATABASE_URL" if self.migration_database_url is None else "MIGRATION_DATABASE_URL"
        return f"{PREFIX}{name}"

    def of_provider(self, name: str) -> str | None:
        """The value of a provider's setting; None where the provider's default holds."""
        value: str | None = getattr(self, name, None)
        return value

    @property
    def vendor_urls(self) -> dict[str, str]:
        """Where the vendors of recipes are reached, by the vendor's name; one that is missing has
        hosts of its own.
        """
        urls = {
            "fml": self.fml_url,
            "hunter": self.hunter_url,
            "peopledatalabs": self.peopledatalabs_url,
            "apollo": self.apollo_url,
            "fullcontact": self.fullcontact_url,
            "clearbit": self.clearbit_url,
        }
        return {name: url for name, url in urls.items() if url is not None}

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str],
        dotenv: Path | None = None,
        of_providers: Collection[str] = (),
    ) -> "Settings":
        """Read `BROKER_*` from the environment, then from the file for what is not there.

        `of_providers` names the settings that providers have. Raises SettingsProblems with every
        problem; values are never part of them.
        """
        found: dict[str, Any] = {}
        if dotenv is not None and dotenv.is_file():
            found.update(dotenv_values(dotenv))
        found.update(environ)
        values = {
            name.removeprefix(PREFIX).lower(): value.strip()
            for name, value in found.items()
            if name.startswith(PREFIX) and value and value.strip()
            if not _is_injected(name, value.strip())
        }
        known = {*cls.model_fields, *of_providers}
        unknown = [name for name in values if name not in known]
        problems = [*_malformed(values), *_between(values, of_providers)]
        try:
            settings = cls.model_validate(
                {name: value for name, value in values.items() if name in known}
            )
        except ValidationError as error:
            problems = [*(_line(problem) for problem in error.errors()), *problems]
        problems = [*(_no_such(name, known) for name in unknown), *problems]
        if problems:
            raise SettingsProblems(problems)
        return settings


def _is_injected(name: str, value: str) -> bool:
    # Every such name begins with that of the Service or link; the leading underscore is its end.
    return any(
        named.fullmatch(f"_{name.removeprefix(PREFIX)}") and valued.fullmatch(value)
        for named, valued in INJECTED
    )


def _malformed(values: Mapping[str, str]) -> list[str]:
    """Values that hold what a shell, a Secret or an env file put there."""
    problems = []
    for name, value in values.items():
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            problems.append(f"{PREFIX}{name.upper()}: has quotes around it; remove them")
        elif name not in MAY_SPAN_LINES and re.search(r"[\x00-\x1f\x7f]", value):
            problems.append(
                f"{PREFIX}{name.upper()}: holds a line break or another control character"
            )
    return problems


def _between(values: Mapping[str, str], of_providers: Collection[str]) -> list[str]:
    """What is wrong between settings that may each be right."""
    problems = []
    if "database_url" in values and "sealing_keys" not in values:
        problems.append(
            "BROKER_SEALING_KEYS: is required when BROKER_DATABASE_URL is set; make one with "
            "`python -c \"import base64,os;print('k1:'+base64.b64encode(os.urandom(32))."
            'decode())"` and keep it apart from the database'
        )
    if "migration_database_url" in values and "database_url" not in values:
        problems.append(
            "BROKER_MIGRATION_DATABASE_URL: needs BROKER_DATABASE_URL, which is not set"
        )
    public = values.get("public_url", "").rstrip("/").lower()
    problems += [
        f"{PREFIX}{name.upper()}: is this broker's own BROKER_PUBLIC_URL"
        for name in sorted({"hubspot_api_url", *of_providers})
        if public and values.get(name, "").rstrip("/").lower() == public
    ]
    return problems


def _no_such(name: str, known: Collection[str]) -> str:
    variable, names = f"{PREFIX}{name.upper()}", [f"{PREFIX}{each.upper()}" for each in known]
    close = difflib.get_close_matches(variable, names, n=1, cutoff=0.8)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{variable}: there is no such setting{hint}"


def _line(problem: Any) -> str:
    name = f"{PREFIX}{str(problem['loc'][0]).upper()}" if problem["loc"] else ""
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
