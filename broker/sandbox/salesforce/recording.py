"""Requests as tests look at them afterwards: secrets are replaced by fingerprints."""

from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from broker.sandbox.salesforce.world import Host, Seen, fingerprint

SECRETS = frozenset(
    {"client_secret", "refresh_token", "token", "code", "code_verifier", "assertion", "oauth_token",
     "access_token", "password"}
)  # fmt: skip
MAX_CHARACTERS = 65_536


def record(request: web.Request, host: Host, body: bytes, at: float) -> Seen:
    """A request without its secrets."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    if "authorization" in headers:
        scheme, _, value = headers["authorization"].partition(" ")
        headers["authorization"] = f"{scheme} {fingerprint(value)}"
    text = body.decode(errors="replace")
    if request.path.startswith("/services/oauth2/"):
        text = _masked(text)
    target, _, query = request.raw_path.partition("?")
    if any(f"{name}=" in query for name in SECRETS):
        query = _masked(query)
    shown = f"{target}?{query}" if query else target
    return Seen(request.method, host.kind, shown, headers, text[:MAX_CHARACTERS], at)


def _masked(form: str) -> str:
    pairs = parse_qsl(form, keep_blank_values=True)
    return urlencode(
        [(name, fingerprint(value) if name in SECRETS else value) for name, value in pairs]
    )
