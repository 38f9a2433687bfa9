// Reports the outcome to the page that opened this one: exactly that page, and never a secret but the code
// to confirm with, which it has to ask for.
"use strict";
(() => {
  const { outcome, user, origin, nonce, returnUrl } = document.getElementById("ended").dataset;
  if (!origin) return;
  document.querySelector("[data-close]")?.addEventListener("click", () => window.close());
  const confirm = location.hash.startsWith("#confirm=") ? location.hash : "";
  if (confirm) history.replaceState(null, "", location.pathname);
  const goOn = () => {
    if (!returnUrl) return;
    // The code goes on in the fragment, which no server and no other page sees. What the return URL
    // holds stays as it is, except earlier values of the same parameters.
    const ours = new URLSearchParams(outcome === "pending" ? { status: "pending" } : { status: "error", code: outcome });
    ours.append("userForeignIdentifier", user);
    const [path, query = ""] = returnUrl.split(/\?(.*)/s);
    const kept = query.split("&").filter((pair) => pair && !ours.has([...new URLSearchParams(pair).keys()][0]));
    location.replace(`${path}?${[...kept, ours].join("&")}${confirm}`);
  };
  const report = (message) => window.opener?.postMessage({ type: "broker:connect", nonce, ...message }, origin);
  const ask = confirm && window.opener ? setTimeout(goOn, 700) : 0;
  if (ask) {
    addEventListener("message", (event) => {
      if (event.origin !== origin || event.source !== window.opener) return;
      if (event.data?.type !== "broker:confirm" || event.data.nonce !== nonce) return;
      clearTimeout(ask);
      report({ confirm: decodeURIComponent(confirm.slice("#confirm=".length)) });
      window.close();
    });
  }
  // A sign-in page may have severed this window from its opener, which then asks the broker.
  report({ outcome, userForeignIdentifier: user, ...(confirm ? { confirmable: true } : {}) });
  if (confirm && !ask) goOn();
  else if (outcome === "connected" || outcome === "consent-denied") window.close();
})();
