// Reports the outcome to the page that opened this one: exactly that page, and never a secret.
"use strict";
(() => {
  const { outcome, user, origin, nonce, returnUrl } = document.getElementById("ended").dataset;
  if (!origin) return;
  document.querySelector("[data-close]")?.addEventListener("click", () => window.close());
  const confirm = location.hash.startsWith("#confirm=") ? location.hash : "";
  if (confirm) history.replaceState(null, "", location.pathname);
  // A sign-in page may have severed this window from its opener, which then asks the broker.
  window.opener?.postMessage(
    { type: "broker:connect", nonce, outcome, userForeignIdentifier: user }, origin);
  if (confirm && returnUrl) {
    // The code goes on in the fragment, which no server and no other page sees. What the return URL
    // holds stays as it is, except earlier values of the same parameters.
    const ours = new URLSearchParams(outcome === "pending" ? { status: "pending" } : { status: "error", code: outcome });
    ours.append("userForeignIdentifier", user);
    const [path, query = ""] = returnUrl.split(/\?(.*)/s);
    const kept = query.split("&").filter((pair) => pair && !ours.has([...new URLSearchParams(pair).keys()][0]));
    location.replace(`${path}?${[...kept, ours].join("&")}${confirm}`);
  } else if (outcome === "connected" || outcome === "consent-denied") {
    window.close();
  }
})();
