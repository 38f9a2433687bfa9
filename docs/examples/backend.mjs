// A product's backend in 30 lines: serves the page, and creates connect sessions for its user.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const { BROKER = "http://localhost:8080", KEY, APP = "demo", PORT = "3000" } = process.env;
if (!KEY) throw new Error("Set KEY to an API key of the broker that has the scope `connect`."); // never in the page

async function connectSession() {
  const user = "user-42"; // who is signed in to your product: from your own session, never the page
  const answer = await fetch(`${BROKER}/api/connect/sessions`, {
    method: "POST",
    headers: { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json" },
    body: JSON.stringify({ app: APP, userForeignIdentifier: user, returnUrl: `http://127.0.0.1:${PORT}/` }),
  });
  const body = await answer.json();
  // A problem document says in `detail` what is wrong.
  if (!answer.ok) console.error(`the broker responded ${answer.status}: ${body.detail ?? body.title}`);
  return [answer.ok ? 200 : answer.status, JSON.stringify(answer.ok ? { url: body.url } : body)];
}

createServer(async (request, response) => {
  try {
    if (request.method === "POST") {
      const [status, body] = await connectSession();
      return response.writeHead(status, { "Content-Type": "application/json" }).end(body);
    }
    const name = request.url === "/page.js" ? "page.js" : "index.html";
    const page = await readFile(new URL(name, import.meta.url), "utf8");
    response.setHeader("Content-Type", name === "page.js" ? "text/javascript" : "text/html");
    response.end(page.replaceAll("http://localhost:8080", BROKER));
  } catch (error) {
    response.writeHead(502).end(error.message);
  }
}).listen(Number(PORT), "127.0.0.1");
