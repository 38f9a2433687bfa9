"""A FastAPI product whose page signs its calls with a bearer token, as single-page apps do.

pip install fastapi uvicorn httpx standardwebhooks; KEY=bs_... python3 app.py, then open
http://127.0.0.1:3000. With EVENTS_SECRET=whsec_... it also receives the broker's events.
"""

import os
import secrets
import sys
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import uvicorn
from fastapi import Body, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from standardwebhooks import Webhook, WebhookVerificationError

BROKER = os.environ.get("BROKER", "http://localhost:8080")
HUBSPOT_APP = os.environ.get("APP", "demo")
PORT = int(os.environ.get("PORT", "3000"))
# Never in a page.
KEY = os.environ.get("KEY") or sys.exit("Set KEY to an API key of the broker (scope `connect`).")
EVENTS_SECRET = os.environ.get("EVENTS_SECRET")  # of the endpoint that sends events here
broker = httpx.AsyncClient(base_url=BROKER, headers={"Authorization": f"Bearer {KEY}"})

app = FastAPI()
signed_in: dict[str, str] = {}
handled: set[str] = set()  # names of events; a table in your product, kept for a week

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Integrations</title>
<h1>Integrations</h1>
<connect-hubspot session-url="/hubspot/session" status-url="/hubspot/status"
  confirm-url="/hubspot/confirm" disconnect-url="/hubspot/disconnect"></connect-hubspot>
<script type="module">
  // Your own sign-in would be here.
  const { token } = await (await fetch("/sign-in", { method: "POST" })).json();
  document.querySelector("connect-hubspot").headers = () => ({ Authorization: `Bearer ${token}` });
  await import("BROKER/connect.js");
</script>
</html>"""


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE.replace("BROKER", BROKER)


@app.post("/sign-in")
async def sign_in() -> dict[str, str]:
    token = secrets.token_urlsafe()
    signed_in[token] = "user-42"
    return {"token": token}


async def current_user(
    token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
) -> str:
    """Who is signed in to your product. From your own token, never from the page."""
    if token.credentials not in signed_in:
        raise HTTPException(401, "Sign in first.")
    return signed_in[token.credentials]


User = Annotated[str, Depends(current_user)]


@app.post("/hubspot/session")
async def create_session(user: User) -> JSONResponse:
    body = {
        "app": HUBSPOT_APP,
        "userForeignIdentifier": user,
        "returnUrl": f"http://127.0.0.1:{PORT}/",
    }
    return passed_on(await broker.post("/api/connect/sessions", json=body))


@app.get("/hubspot/status")
async def status(user: User) -> dict[str, object]:
    answer = await broker.get(connection(user))
    if answer.status_code == 404:
        return {"connected": False}
    found = answer.raise_for_status().json()
    return {
        "connected": found["status"] == "ACTIVE",
        "status": found["status"],
        "accountName": found["accountName"],
    }


@app.post("/hubspot/confirm")
async def confirm(user: User, confirm: Annotated[str, Body(embed=True)]) -> JSONResponse:
    body = {"confirm": confirm, "userForeignIdentifier": user}
    return passed_on(await broker.post("/api/connections/confirm", json=body))


@app.post("/hubspot/disconnect")
async def disconnect(user: User) -> JSONResponse:
    return passed_on(await broker.delete(connection(user)))


@app.post("/hubspot/events", status_code=204)
async def events(request: Request) -> None:
    if not EVENTS_SECRET:
        raise HTTPException(404)
    try:
        # The raw body: a model as a parameter would parse it before it is verified.
        event = Webhook(EVENTS_SECRET).verify(await request.body(), dict(request.headers))
    except (WebhookVerificationError, ValueError):
        raise HTTPException(400, "The signature is missing, wrong or too old.") from None
    # The same event can arrive again for days. Remember it after the work, so that an error here
    # makes the broker send it again.
    if request.headers["webhook-id"] not in handled:
        handle(event)
        handled.add(request.headers["webhook-id"])


def handle(event: dict[str, Any]) -> None:
    """Your work: pause the user's jobs at `connection.reauth_required`, for example."""
    line = f"{event['type']} {event['data']['userForeignIdentifier']}\n"
    print(line, end="", flush=True)  # in one write, for threads answer at the same time


def connection(user: str) -> str:
    return f"/api/apps/{HUBSPOT_APP}/connections/{quote(user, safe='')}"


def passed_on(answer: httpx.Response) -> JSONResponse:
    """The broker's answer; a refusal says why in `detail`, which the button shows developers."""
    return JSONResponse(answer.json(), answer.status_code)


if __name__ == "__main__":
    uvicorn.run(app, port=PORT)
