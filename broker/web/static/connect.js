// <connect-hubspot session-url="/your/endpoint" [mode="popup|redirect"]>: a button that connects a
// user's HubSpot account. Your endpoint answers a POST with {"url"} of a fresh connect session.
// Fires `connected`, `cancelled` or `failed` (and `pending` when your backend has to confirm), each
// with detail {code, userForeignIdentifier}.
(() => {
  "use strict";
  if (customElements.get("connect-hubspot")) return;
  const BROKER = new URL(document.currentScript.src).origin;
  const RETURNING = "connect-hubspot:returning";
  const WORDS = {
    ready: "Connect to HubSpot",
    busy: "Connecting…",
    connected: "HubSpot is connected.",
    pending: "One more step: confirm the connection in the window that just opened.",
    cancelled: "HubSpot was not connected. You can try again at any time.",
    "popup-blocked": "Your browser blocked the window. Press the button again to go on in this tab.",
    "session-failed": "The connection could not be started. Try again in a minute; if that does not help, tell support.",
    failed: "HubSpot was not connected. Try again; if that does not help, tell support.",
    "scopes-missing": "HubSpot granted too little. Ask a super admin of your HubSpot account to connect it.",
    "portal-mismatch": "That is another HubSpot account than the one connected now, which goes on serving.",
    "link-used": "That link was used already. Try again.",
    "link-expired": "That took too long. Try again.",
    "other-browser": "Finish in the browser in which you started, or try again here.",
    "hubspot-unavailable": "HubSpot could not be reached. Try again in a minute.",
    "hubspot-timeout": "HubSpot did not answer in time. Try again in a minute.",
  };
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { display: inline-block; color-scheme: light dark; }
    button { font: 600 1rem/1.25 system-ui, sans-serif; padding: .65rem 1.1rem; border-radius: .5rem; cursor: pointer;
      border: 1px solid light-dark(#b3401a, #ff9d7a); background: light-dark(#b3401a, #ff9d7a); color: light-dark(#fff, #2a0d02); }
    button:focus-visible { outline: 3px solid light-dark(#0b5a7a, #7cc7e8); outline-offset: 2px; }
    button[aria-disabled=true] { opacity: .75; cursor: progress; }
    p { font: .9rem/1.4 system-ui, sans-serif; margin: .4rem 0 0; max-width: 24rem; }
    p:empty { display: none; }`);

  class ConnectHubSpot extends HTMLElement {
    #button; #status; #busy = false; #stop = () => {}; #inThisTab = false;

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open", delegatesFocus: true });
      root.adoptedStyleSheets = [sheet];
      this.#button = document.createElement("button");
      this.#button.type = "button";
      const label = document.createElement("slot");
      label.textContent = WORDS.ready;
      this.#button.append(label);
      this.#button.addEventListener("click", () => this.connect());
      this.#status = document.createElement("p");
      this.#status.setAttribute("role", "status");
      root.append(this.#button, this.#status);
    }

    connectedCallback() {
      // Back from a full-page redirect: your return URL carries the outcome.
      const said = new URL(location.href).searchParams;
      if (!said.has("status") || sessionStorage.getItem(RETURNING) !== this.#name) return;
      sessionStorage.removeItem(RETURNING);
      const outcome = said.get("status") === "error" ? said.get("code") : said.get("status");
      const tell = () => this.#end(outcome, said.get("userForeignIdentifier"));
      if (document.readyState === "complete") queueMicrotask(tell);
      else addEventListener("load", tell, { once: true }); // your listeners are there by then
    }

    get #name() { return `${this.getAttribute("mode")} ${this.getAttribute("session-url")}`; }

    disconnectedCallback() { this.#stop(); }

    /** Start; call it from a click, or browsers block the window. */
    async connect() {
      if (this.#busy) return;
      const redirect = this.#inThisTab || this.getAttribute("mode") === "redirect";
      let popup = null;
      if (!redirect) {
        const [width, height] = [560, 720];
        const left = screenX + Math.max(0, (outerWidth - width) / 2);
        const top = screenY + Math.max(0, (outerHeight - height) / 2);
        popup = window.open("", "_blank", `popup,width=${width},height=${height},left=${left},top=${top}`);
        if (!popup) {
          this.#inThisTab = true;
          return this.#end("popup-blocked");
        }
      }
      this.#setBusy(true);
      let url;
      try {
        const answer = await fetch(this.getAttribute("session-url"), {
          method: "POST", credentials: "same-origin", headers: { Accept: "application/json" } });
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        url = new URL((await answer.json()).url);
        if (url.origin !== BROKER) throw new Error("the session is another broker's");
      } catch (error) {
        console.warn("connect-hubspot: no session:", error.message);
        popup?.close();
        return this.#end("session-failed");
      }
      if (redirect) {
        sessionStorage.setItem(RETURNING, this.#name);
        location.assign(url);
        return undefined;
      }
      const nonce = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
      url.searchParams.set("origin", location.origin);
      url.searchParams.set("nonce", nonce);
      this.#listen(popup, nonce);
      popup.location = url;
      return undefined;
    }

    #listen(popup, nonce) {
      const heard = (event) => {
        const said = event.data;
        // The window may have gone on already; then its message has no source.
        if (event.origin !== BROKER || (event.source && event.source !== popup)) return;
        if (said?.type !== "broker:connect" || said.nonce !== nonce) return;
        this.#end(said.outcome, said.userForeignIdentifier);
      };
      const watch = setInterval(() => {
        if (!popup.closed) return;
        clearInterval(watch);
        // A message sent just before the window closed may still be on its way.
        setTimeout(() => { if (this.#busy) this.#end("cancelled"); }, 250);
      }, 300);
      this.#stop = () => { clearInterval(watch); removeEventListener("message", heard); };
      addEventListener("message", heard);
    }

    #end(outcome, user) {
      this.#stop();
      this.#setBusy(false);
      const kind = { connected: "connected", pending: "pending", cancelled: "cancelled", "consent-denied": "cancelled" }[outcome] ?? "failed";
      this.#status.textContent = WORDS[outcome] ?? WORDS[kind];
      this.dispatchEvent(new CustomEvent(kind, {
        bubbles: true, composed: true,
        detail: { code: outcome, ...(user ? { userForeignIdentifier: user } : {}) } }));
    }

    #setBusy(busy) {
      this.#busy = busy;
      this.#button.setAttribute("aria-disabled", String(busy));
      this.#status.textContent = busy ? WORDS.busy : "";
    }
  }
  customElements.define("connect-hubspot", ConnectHubSpot);
})();
