"""Which of the sandbox's ports stands for which of Salesforce's hosts, and how an org gets or
changes its own.
"""

from aiohttp import web

from broker.sandbox.core.control.requests import Handler, guarded, read_object
from broker.sandbox.core.serving import url_of
from broker.sandbox.salesforce.org import Org
from broker.sandbox.salesforce.world import ADMIN, Host, Salesforce


class Addresses:
    """The ports of a running sandbox. Every org has its own, as its My Domain."""

    def __init__(self, world: Salesforce, host: str) -> None:
        self._world = world
        self._host = host
        self._runner: web.AppRunner | None = None
        self._hosts: dict[int, Host] = {}

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/_sandbox/orgs", self.post_org),
            ("POST", "/_sandbox/orgs/{org}/move", self.post_move),
        ]
        return [web.route(method, path, guarded(handler)) for method, path, handler in table]

    def of(self, request: web.Request) -> Host:
        """The host that a request came to."""
        if request.transport is None:
            raise ConnectionResetError
        return self._hosts[request.transport.get_extra_info("sockname")[1]]

    async def open(self, runner: web.AppRunner, port: int, login: int, test: int) -> None:
        """Open the login hosts and one for each org, the first org at `port`."""
        self._runner = runner
        self._world.login_url = await self._listen(login, "login")
        self._world.test_url = await self._listen(test, "test")
        for org in self._world.orgs.values():
            org.instance_url = await self._listen(port, "org", org.id)
            port = 0

    async def add_org(self, name: str, admin: str = ADMIN, *, sandbox: bool = False) -> Org:
        """Make an org, at an address of its own."""
        org = self._world.add_org(name, admin, sandbox=sandbox)
        org.instance_url = await self._listen(0, "org", org.id)
        return org

    async def move(self, org: Org) -> None:
        """Move an org to another address, as a migration does: the API is no longer at the old one,
        while tokens are still issued there.
        """
        for port, host in self._hosts.items():
            if host.kind == "org" and host.org_id == org.id:
                self._hosts[port] = Host("left", host.url, org.id)
        org.instance_url = await self._listen(0, "org", org.id)

    async def post_org(self, request: web.Request) -> web.Response:
        """Make an org: name, admin (a username), sandbox."""
        payload = await read_object(request)
        name, sandbox = str(payload["name"]), bool(payload.get("sandbox"))
        admin = str(payload.get("admin", f"admin@{name}.example"))
        org = await self.add_org(name, admin, sandbox=sandbox)
        shown = {"id": org.id, "instanceUrl": org.instance_url, "admin": admin}
        return web.json_response(shown, status=201)

    async def post_move(self, request: web.Request) -> web.Response:
        """Move an org to another address."""
        org = self._world.find_org(request.match_info["org"])
        await self.move(org)
        return web.json_response({"instanceUrl": org.instance_url})

    async def _listen(self, port: int, kind: str, org_id: str = "") -> str:
        if self._runner is None:
            raise RuntimeError("the sandbox does not run")
        ports = {each[1] for each in self._runner.addresses}
        await web.TCPSite(self._runner, self._host, port).start()
        bound = next(each[1] for each in self._runner.addresses if each[1] not in ports)
        url = url_of(self._host, bound)
        self._hosts[bound] = Host(kind, url, org_id)
        return url
