// An Express API for a page on another origin (see ../react): CORS and a cookie of the product's own.
// npm install; KEY=bs_... PAGE=http://localhost:5173 node server.mjs
// With EVENTS_SECRET=whsec_... it also receives the broker's events.
import express from "express";
import { Webhook } from "standardwebhooks";

const { BROKER = "http://localhost:8080", KEY, APP = "demo", PORT = "3001", PAGE = "http://localhost:5173" } = process.env;
const { EVENTS_SECRET } = process.env; // of the endpoint that sends events here
if (!KEY) throw new Error("Set KEY to an API key of the broker that has the scope `connect`."); // never in a page

const app = express();

const handled = new Set(); // names of events; a table in your product, kept for a week

/** Your work: pause the user's jobs at `connection.reauth_required`, for example. */
const handle = ({ type, data }) => console.log(type, data.userForeignIdentifier);

const bytes = express.raw({ type: "application/json", limit: "2mb" });

// Before express.json(), because the signature is over the bytes of the body.
if (EVENTS_SECRET) app.post("/hubspot/events", bytes, (request, response) => {
  let event;
  try {
    event = new Webhook(EVENTS_SECRET).verify(request.body, request.headers);
  } catch {
    return response.sendStatus(400);
  }
  // The same event can arrive again for days. Remember it after the work, so that an error here makes the broker send
  // it again.
  const name = request.get("webhook-id");
  if (!handled.has(name)) {
    handle(event);
    handled.add(name);
  }
  return response.sendStatus(204);
});

app.use(express.json());

// The page's origin, exactly: its cookies come with the request. A foreign page gets no further than the preflight,
// which JSON and the header below make browsers send.
app.use((request, response, next) => {
  response.set({ "Access-Control-Allow-Origin": PAGE, "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Headers": "Content-Type, X-Requested-With", Vary: "Origin" });
  if (request.method === "OPTIONS") return response.sendStatus(204);
  if (request.method === "POST" && !request.get("X-Requested-With")) {
    return response.status(403).json({ detail: "X-Requested-With is missing." });
  }
  return next();
});

/** Who is signed in to your product. From your own session, never from the page. */
const currentUser = (request) => (request.get("Cookie") ?? "").match(/(?:^|; )user=([\w-]+)/)?.[1] ?? "user-42";
const connection = (request) => `/api/apps/${APP}/connections/${encodeURIComponent(currentUser(request))}`;

const ask = (path, method = "GET", body = undefined) => fetch(BROKER + path, {
  method, headers: { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body) });

/** The broker's answer. What it refuses says why in `detail`, which the button shows to developers. */
const passOn = async (answer, response) => response.status(answer.status).json(await answer.json());

app.post("/hubspot/session", async (request, response) => {
  const body = { app: APP, userForeignIdentifier: currentUser(request), returnUrl: `${PAGE}/` };
  await passOn(await ask("/api/connect/sessions", "POST", body), response);
});

app.get("/hubspot/status", async (request, response) => {
  const answer = await ask(connection(request));
  if (answer.status === 404) return response.json({ connected: false });
  if (!answer.ok) return passOn(answer, response);
  const { status, accountName } = await answer.json();
  return response.json({ connected: status === "ACTIVE", status, accountName });
});

app.post("/hubspot/confirm", async (request, response) => {
  const body = { confirm: request.body.confirm, userForeignIdentifier: currentUser(request) };
  await passOn(await ask("/api/connections/confirm", "POST", body), response);
});

app.post("/hubspot/disconnect", async (request, response) => passOn(await ask(connection(request), "DELETE"), response));

app.listen(Number(PORT), "127.0.0.1");
