"""A sandbox's data across restarts: one JSON file, replaced atomically."""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from broker.sandbox.hubspot.grants import AccessToken, App, RefreshToken
from broker.sandbox.hubspot.portal import Portal
from broker.sandbox.hubspot.world import Sandbox


@dataclass(slots=True)
class SavedState:
    """What survives: apps with their secrets, accounts with their records, tokens, the clock."""

    apps: dict[str, App]
    portals: dict[int, Portal]
    refresh_tokens: dict[str, RefreshToken]
    access_tokens: dict[str, AccessToken]
    ahead: float


_adapter = TypeAdapter(SavedState)


def write(sandbox: Sandbox, folder: Path) -> None:
    """Write everything down. Raises OSError when the folder takes no file."""
    grants = sandbox.grants
    saved = SavedState(
        sandbox.apps,
        sandbox.portals,
        grants.refresh_tokens,
        grants.access_tokens,
        sandbox.ahead,
    )
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / "sandbox.json.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_adapter.dump_json(saved))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / "sandbox.json")


def read(sandbox: Sandbox, folder: Path) -> bool:
    """Restore the saved state; whether there was any. Raises ValueError on another format."""
    path = folder / "sandbox.json"
    if not path.exists():
        return False
    saved = _adapter.validate_json(path.read_bytes())
    # The dictionaries are filled, not replaced: webhooks and workflows refer to them.
    for target, source in (
        (sandbox.apps, saved.apps),
        (sandbox.portals, saved.portals),
        (sandbox.grants.refresh_tokens, saved.refresh_tokens),
        (sandbox.grants.access_tokens, saved.access_tokens),
    ):
        target.clear()
        target.update(source)  # type: ignore[arg-type]
    for access in sandbox.grants.access_tokens.values():
        access.refresh = saved.refresh_tokens.get(access.refresh.token, access.refresh)
    sandbox.ahead = saved.ahead
    return True
