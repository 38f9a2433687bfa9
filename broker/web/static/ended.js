// Tells the page that opened this one how it ended: exactly that page, and never a secret.
"use strict";
(() => {
  const { outcome, user, origin, nonce, returnUrl } = document.getElementById("ended").dataset;
  if (!origin) return;
  const confirm = location.hash.startsWith("#confirm=") ? location.hash : "";
  if (confirm) history.replaceState(null, "", location.pathname);
  if (window.opener) {
    window.opener.postMessage(
      { type: "broker:connect", nonce, outcome, userForeignIdentifier: user }, origin);
  }
  if (confirm && returnUrl) {
    // The code goes on in the fragment, which no server and no other page sees.
    const back = new URL(returnUrl);
    if (outcome === "pending") back.searchParams.set("status", "pending");
    else { back.searchParams.set("status", "error"); back.searchParams.set("code", outcome); }
    back.searchParams.set("userForeignIdentifier", user);
    back.hash = confirm;
    location.replace(back);
  } else if (window.opener && (outcome === "connected" || outcome === "consent-denied")) {
    window.close();
  }
})();
