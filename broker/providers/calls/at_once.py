"""Calls that are sent without waiting for anything: `Provider.send` in steps."""

from broker.domain.model import Connection, Grant, ProxyCall
from broker.providers.calls.answers import Answer
from broker.providers.transport.response import UpstreamResponse


class CallsAtOnce:
    """A provider whose calls can be sent at once; as it stands, none of them."""

    def can_begin(self, _call: ProxyCall, _connection: Connection) -> bool:
        """Whether `begin` can send a call now."""
        return False

    def begin(self, call: ProxyCall, connection: Connection, grant: Grant) -> UpstreamResponse:
        """Send a call whose body is complete, on a connection that is kept: after `can_begin`."""
        raise NotImplementedError

    def read_complete(self, call: ProxyCall, response: UpstreamResponse) -> Answer:
        """The answer to a call that was begun, once all of it has come. Only for a status that says
        nothing of the grant and of limits: neither 401 nor 429.
        """
        raise NotImplementedError

    async def finish(
        self,
        call: ProxyCall,
        grant: Grant,
        pending: UpstreamResponse,
        within: float,
        *,
        repeats: bool,
    ) -> Answer:
        """Wait for the answer to a call that was begun: as `send`."""
        raise NotImplementedError
