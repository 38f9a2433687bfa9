"""What HubSpot's automation and its UI extensions call: signed requests to an app's own backend
(https://developers.hubspot.com/docs/api-reference/latest/automation/workflow-actions).
"""

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from broker.sandbox.hubspot.events.signing import signed
from broker.sandbox.hubspot.grants import App

ANSWER_TIMEOUT_S, LONGEST_S = 15.0, 3 * 86_400.0
WAITING = {"ASYNC", "BLOCK"}
MOST_BYTES = 1_048_576


@dataclass(slots=True)
class Execution:
    """One run of a workflow action. `state` is RUNNING, SUCCESS, FAILED, ASYNC, BLOCK, ..."""

    callback_id: str
    client_id: str
    hub_id: int
    url: str
    body: dict[str, Any]
    state: str = "RUNNING"
    output: dict[str, Any] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)
    due: float = 0.0
    began: float = 0.0


@dataclass(slots=True)
class Workflows:
    """Runs of workflow actions, and calls of UI extensions."""

    apps: dict[str, App]
    now: Callable[[], float]
    executions: dict[str, Execution] = field(default_factory=dict)
    retry_after: float = 1.0

    async def start(
        self,
        session: aiohttp.ClientSession,
        client_id: str,
        url: str,
        hub_id: int,
        record: dict[str, Any],
        inputs: dict[str, Any],
    ) -> Execution:
        """Run an action for a record: `{"objectType", "objectId", "properties"}`."""
        number = secrets.randbelow(10**9)
        callback_id = f"ap-{hub_id}-{number}-7-0"
        body = {
            "callbackId": callback_id,
            "origin": {"portalId": hub_id, "actionDefinitionId": 1, "actionDefinitionVersion": 1},
            "context": {"source": "WORKFLOWS", "workflowId": number},
            "object": record,
            "inputFields": inputs,
        }
        made = Execution(callback_id, client_id, hub_id, url, body, began=self.now())
        self.executions[callback_id] = made
        await self._attempt(session, made)
        return made

    @property
    def pending(self) -> bool:
        """Whether any action may have to be tried again."""
        return any(each.state == "RUNNING" for each in self.executions.values())

    async def tick(self, session: aiohttp.ClientSession) -> None:
        """Retry the actions that are due."""
        now = self.now()
        due = [e for e in self.executions.values() if e.state == "RUNNING" and 0 < e.due <= now]
        await asyncio.gather(*(self._attempt(session, each) for each in due))

    def complete(self, callback_id: str, hub_id: int, output: dict[str, Any]) -> bool:
        """End a run that waits; whether there is such a run in that portal."""
        execution = self.executions.get(callback_id)
        if execution is None or execution.hub_id != hub_id or execution.state not in WAITING:
            return False
        execution.output = output
        execution.state = str(output.get("hs_execution_state") or "SUCCESS")
        return True

    async def call_extension(
        self,
        session: aiohttp.ClientSession,
        client_id: str,
        method: str,
        url: str,
        sent: dict[str, Any],
        body: Any,
    ) -> dict[str, Any]:
        """What `hubspot.fetch` of a UI extension does; the answer's status and body.

        `sent` are the parameters that HubSpot appends: userId, portalId, userEmail, appId.
        """
        query = urlencode({name: str(sent[name]) for name in sorted(sent)}, quote_via=quote)
        whole = f"{url}{'&' if '?' in url else '?'}{query}"
        data = b"" if body is None or method == "GET" else json.dumps(body).encode()
        return await self._call(session, client_id, method, whole, data)

    async def _attempt(self, session: aiohttp.ClientSession, execution: Execution) -> None:
        data = json.dumps(execution.body).encode()
        execution.due = 0.0
        got = await self._call(session, execution.client_id, "POST", execution.url, data)
        execution.answers.append(got)
        status, answered = got["status"], got["body"]
        if status is None or status == 429 or status >= 500:
            self._again(execution, got)
            return
        output = answered.get("outputFields", {}) if isinstance(answered, dict) else {}
        execution.output = output if isinstance(output, dict) else {}
        state = execution.output.get("hs_execution_state")
        execution.state = str(state) if state else ("SUCCESS" if status < 300 else "FAILED")

    def _again(self, execution: Execution, got: dict[str, Any]) -> None:
        if self.now() - execution.began > LONGEST_S:
            execution.state = "FAILED"
            return
        # Retry-After is in milliseconds here, as HubSpot reads it.
        requested = str(got["headers"].get("Retry-After", "")).strip()
        grown = self.retry_after * 2.0 ** min(len(execution.answers) - 1, 12)
        execution.due = self.now() + (int(requested) / 1000 if requested.isdecimal() else grown)

    async def _call(
        self, session: aiohttp.ClientSession, client_id: str, method: str, url: str, data: bytes
    ) -> dict[str, Any]:
        secret = self.apps[client_id].client_secret
        headers = signed(secret, method, url, data, self.now(), older="v2")
        if data:
            headers["Content-Type"] = "application/json"
        try:
            async with session.request(
                method,
                URL(url, encoded=True),
                data=data or None,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S),
            ) as response:
                body = _read((await response.read())[:MOST_BYTES])
                return {"status": response.status, "headers": dict(response.headers), "body": body}
        except (aiohttp.ClientError, TimeoutError) as problem:
            return {"status": None, "headers": {}, "body": type(problem).__name__}


def _read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")
