"""Apps, and what users granted them: codes, refresh tokens, sessions."""

import secrets
from dataclasses import dataclass, field


@dataclass(slots=True)
class App:
    """A connected app, or an external client app.

    `run_as` is the username that client credentials act as; `certificate` the PEM that signs JWTs;
    `self_authorize` False lets in only users that an admin approved, and an app that is not
    `installed` only admins.
    """

    client_id: str
    client_secret: str
    name: str
    callback_urls: list[str]
    scopes: list[str]
    run_as: str | None = None
    certificate: str = ""
    installed: bool = True
    self_authorize: bool = True
    approved: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code, as consented to."""

    client_id: str
    org_id: str
    user_id: str
    scopes: list[str]
    redirect_uri: str
    challenge: str | None
    expires_at: float


@dataclass(slots=True)
class Grant:
    """What a user granted an app: one chain of refresh tokens."""

    client_id: str
    org_id: str
    user_id: str
    scopes: list[str]
    refresh_token: str | None
    created_at: float
    used_at: float
    spent: set[str] = field(default_factory=set)
    sessions: list["Session"] = field(default_factory=list)
    alive: bool = True
    busy: bool = False


@dataclass(slots=True)
class Session:
    """An access token. It lives on while it is used; `timeout_s` after its last use it is dead."""

    token: str
    client_id: str
    org_id: str
    user_id: str
    scopes: list[str]
    issued_at: float
    expires_at: float
    timeout_s: float
    grant: Grant | None
    alive: bool = True


APPROVALS = 5


class Grants:
    """Everything that was issued, by its secret."""

    def __init__(self) -> None:
        self.codes: dict[str, Code] = {}
        self.by_user: dict[tuple[str, str], list[Grant]] = {}
        self.by_refresh_token: dict[str, Grant] = {}
        self.sessions: dict[str, Session] = {}

    def issue_code(self, code: Code) -> str:
        text = f"aPrx{secrets.token_urlsafe(40)}=="
        self.codes[text] = code
        return text

    def open(self, code: Code, now: float) -> Grant:
        """A new grant. A user has five for an app; one more ends the oldest."""
        lasting = {"refresh_token", "offline_access"} & set(code.scopes)
        token = self._refresh_token() if lasting else None
        grant = Grant(code.client_id, code.org_id, code.user_id, code.scopes, token, now, now)
        same = self.by_user.setdefault((code.client_id, code.user_id), [])
        if token is not None:
            self.by_refresh_token[token] = grant
            lasting_ones = [each for each in same if each.alive and each.refresh_token]
            for old in lasting_ones[: max(0, len(lasting_ones) + 1 - APPROVALS)]:
                self.revoke(old)
        same.append(grant)
        return grant

    def rotate(self, grant: Grant) -> None:
        """Give a grant a new refresh token; the old one is spent."""
        if grant.refresh_token is not None:
            grant.spent.add(grant.refresh_token)
        grant.refresh_token = self._refresh_token()
        self.by_refresh_token[grant.refresh_token] = grant

    def revoke(self, grant: Grant) -> None:
        """End a grant with every session of it."""
        grant.alive = False
        for session in grant.sessions:
            session.alive = False

    def open_session(
        self, code: Code, now: float, timeout_s: float, grant: Grant | None
    ) -> Session:
        """A new access token for who and what a code names."""
        token = f"{code.org_id[:15]}!AQ{secrets.token_urlsafe(66).replace('-', '.')}"
        session = Session(
            token, code.client_id, code.org_id, code.user_id, code.scopes, now, now + timeout_s,
            timeout_s, grant,
        )  # fmt: skip
        self.sessions[token] = session
        if grant is not None:
            grant.sessions.append(session)
        return session

    def find_session(self, token: str, now: float) -> Session | None:
        """A live session; None for one that is unknown, revoked or timed out."""
        session = self.sessions.get(token)
        if session is None or not session.alive or session.expires_at <= now:
            return None
        return session

    def use(self, session: Session, now: float) -> None:
        """Record a use: in the second half of a session's time it postpones the end."""
        if session.expires_at - now < session.timeout_s / 2:
            session.expires_at = now + session.timeout_s

    def _refresh_token(self) -> str:
        return f"5Aep861{secrets.token_urlsafe(60)}"
