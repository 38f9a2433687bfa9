"""Where `broker demo` runs, and what it says at its end."""

import os
import shutil
import socket
from typing import Protocol

from broker.cli.runtime import Runtime
from broker.embedded.folder import default_data_dir
from broker.embedded.programs import SERVER_USER

USER = "user-42"
OTHERS = range(8180, 9080, 100)
"""Ports that are tried where the usual one is taken: the sandboxes have those after it."""


class Walk(Protocol):
    """What a walk through the main job leaves behind."""

    secret: str

    @property
    def company(self) -> str: ...

    @property
    def sandbox_url(self) -> str: ...

    @property
    def case_url(self) -> str: ...

    @property
    def recipe_path(self) -> str: ...


def choose_port(wanted: int) -> int:
    """A free port of this machine, the wanted one if it can be had."""
    return next(filter(_is_free, (wanted, *OTHERS)), 0) or _any_free_port()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def next_steps(found: Runtime, walk: Walk) -> str:
    """What a person can do while the demo runs, and how to be rid of it afterwards."""
    url = found.settings.public_url
    program = "broker" if shutil.which("broker") else ".venv/bin/broker"
    return f"""
Everything works. This terminal keeps the demo running; press Ctrl-C to stop it.

1. Look around
   console      {url}/console   sign in with {walk.secret}
                (its last 24 hours of calls are made up; what you do comes on top)
   playground   {url}/console/playground?app=demo   any HubSpot call as {USER}, with its curl
   docs         {url}/docs
   sandboxes    {walk.sandbox_url} (HubSpot, with links to the others)
   the case     {walk.case_url} (use its buttons to move the case forward)

2. Call HubSpot as {USER}, in another terminal (the key works as long as this demo runs)
   export B={url} KEY={walk.secret}
   curl -H "Authorization: Bearer $KEY" $B/proxy/demo/{USER}/crm/v3/objects/contacts

3. Connect another user: open the "url" of the answer in a browser
   curl -H "Authorization: Bearer $KEY" "$B/api/hubspot/auth/demo?userForeignIdentifier=user-43"

4. See the button on a product's page: run this, then open http://127.0.0.1:3000
   BROKER={url} KEY={walk.secret} python3 docs/examples/backend.py

5. See an event arrive: {url}/docs/events#developing, with the clientId and webhookUrl of
   curl -H "Authorization: Bearer $KEY" $B/api/apps/demo

6. Start the recipe again for the same Company (it creates no second case)
   curl -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\
     $B{walk.recipe_path} -d '{{"userForeignIdentifier":"{USER}","companyId":"{walk.company}"}}'

7. Use your own HubSpot app: docs/hubspot.md, or {url}/docs/hubspot
{_left_behind(found, program)}"""


def _left_behind(found: Runtime, program: str) -> str:
    """What the demo leaves on the machine, and how it is removed."""
    if not found.embedded:
        return "\nThe demo's records are in your database, in a workspace called demo."
    folder = found.settings.data_dir or default_data_dir()
    owner = f", run by the system user {SERVER_USER}" if os.geteuid() == 0 else ""
    user = f" && userdel {SERVER_USER}" if owner else ""
    return f"""
On this machine: Postgres and its sealing key in {folder}{owner}.
Each demo starts with an empty database of its own, so nothing from today is there tomorrow;
`{program} serve` without BROKER_DATABASE_URL keeps its data in the same folder. To remove
all of it, what `serve` stored too, once the demo is stopped:
   rm -rf {folder}{user}"""
