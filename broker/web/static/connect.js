// <connect-hubspot session-url="/your/endpoint" [mode="popup|redirect"]>: a button that connects a
// user's HubSpot account. Your endpoint answers a POST with {"url"} of a fresh connect session.
// Fires `connected`, `cancelled` or `failed` (and `pending` when your backend has to confirm), each
// with detail {code, userForeignIdentifier?, reason?}; `reason` is for developers.
(() => {
  "use strict";
  if (customElements.get("connect-hubspot")) return;
  // A module has no currentScript, but its own address stands in a stack trace.
  const SCRIPT = document.currentScript?.src || new Error().stack?.match(/https?:\/\/[^\s()@]+?\/connect\.js/)?.[0];
  const RETURNING = "connect-hubspot:returning";
  const WORDS = {
    ready: "Connect to HubSpot",
    busy: "Connecting…",
    connected: "HubSpot is connected.",
    pending: "One more step: confirm the connection in the window that just opened.",
    cancelled: "HubSpot was not connected. You can try again at any time.",
    "popup-blocked": "Your browser blocked the window. Click again to continue in this tab.",
    "session-failed": "The connection could not be started. Try again in a minute; if it keeps failing, contact support.",
    failed: "HubSpot was not connected. Try again; if it keeps failing, contact support.",
    "scopes-missing": "HubSpot did not grant all the permissions we need. Ask a super admin of your HubSpot account to connect.",
    "portal-mismatch": "You chose a different HubSpot account. Your current account stays connected until you confirm the change.",
    "link-used": "That link was already used. Try again.",
    "link-expired": "That took too long. Try again.",
    "other-browser": "Finish in the browser where you started, or try again here.",
    "origin-refused": "HubSpot cannot be connected from this page yet. Contact support.",
    "credentials-refused": "HubSpot could not be connected because of a problem on our side. Contact support.",
    "hubspot-unavailable": "HubSpot could not be reached. Try again in a minute.",
    "hubspot-timeout": "HubSpot did not respond in time. Try again in a minute.",
  };
  const REASONS = {
    "credentials-refused": "HubSpot rejects the app's client id or client secret; correct the app in the broker's console",
    "scopes-missing": "fewer scopes were granted than the app asks for",
  };
  const KINDS = { connected: "connected", pending: "pending", cancelled: "cancelled", "consent-denied": "cancelled" };
  const [LOOK_MS, ASK_MS, GRACE_MS, GIVE_UP_MS] = [300, 1000, 4000, 10 * 60_000];
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
      // Back from a full-page redirect: the broker appended the outcome to your return URL, which
      // may have parameters of the same names.
      const query = new URL(location.href).searchParams;
      const last = (name) => query.getAll(name).at(-1);
      if (!query.has("status") || sessionStorage.getItem(RETURNING) !== this.#name) return;
      sessionStorage.removeItem(RETURNING);
      const outcome = last("status") === "error" ? last("code") : last("status");
      const finish = () => this.#end(outcome, last("userForeignIdentifier"));
      if (document.readyState === "complete") queueMicrotask(finish);
      else addEventListener("load", finish, { once: true }); // your listeners are there by then
    }

    get #name() { return `${this.getAttribute("mode")} ${this.getAttribute("session-url")}`; }

    /** The broker's origin: where this script came from, unless a bundler moved it. */
    get #broker() { return new URL(this.getAttribute("broker") ?? SCRIPT).origin; }

    disconnectedCallback() { this.#stop(); }

    /** Start; call it from a click, or browsers block the window. */
    async connect() {
      if (this.#busy) return;
      this.#stop();
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
        url = await this.#session();
      } catch (error) {
        popup?.close();
        return this.#end("session-failed", null, error.message);
      }
      if (redirect) {
        sessionStorage.setItem(RETURNING, this.#name);
        location.assign(url);
        return undefined;
      }
      const nonce = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
      const outcome = new URL(`${url.origin}${url.pathname}/outcome?nonce=${nonce}`);
      url.searchParams.set("origin", location.origin);
      url.searchParams.set("nonce", nonce);
      this.#watch(popup, nonce, outcome);
      popup.location = url;
      return undefined;
    }

    /** A fresh session's address. Throws what a developer needs to know. */
    async #session() {
      const response = await fetch(this.getAttribute("session-url"), {
        method: "POST", credentials: "same-origin", headers: { Accept: "application/json" } });
      const text = await response.text();
      let body = {};
      try { body = JSON.parse(text); } catch { /* not JSON: the text says what it can */ }
      if (!response.ok) throw new Error(`the session endpoint responded ${response.status}: ${body?.detail ?? text.slice(0, 300)}`);
      if (!body?.url) throw new Error('the session endpoint did not respond with {"url": ...}');
      const url = new URL(body.url);
      if (url.origin !== this.#broker) throw new Error(`the session belongs to ${url.origin}, not to ${this.#broker}`);
      return url;
    }

    #watch(popup, nonce, address) {
      const broker = this.#broker;
      let [over, asking, closedAt, focusedAt, askedAt] = [false, false, 0, 0, 0];
      const finish = (outcome, user, reason) => {
        if (over) return;
        // An outcome that comes after `cancelled` counts only if it is a connection after all.
        if (!this.#busy && outcome !== "connected" && outcome !== "pending") return;
        this.#end(outcome, user, reason);
      };
      const heard = (event) => {
        const message = event.data;
        // The window may have navigated already; then its message has no source.
        if (event.origin !== broker || (event.source && event.source !== popup)) return;
        if (message?.type !== "broker:connect" || message.nonce !== nonce) return;
        finish(message.outcome, message.userForeignIdentifier);
      };
      const ask = async () => {
        [asking, askedAt] = [true, Date.now()];
        try {
          const response = await fetch(address, { credentials: "omit" });
          const body = await response.json();
          if (over) return;
          if (body.code === "origin-refused") finish(body.code, null, body.detail);
          else if (body.outcome) finish(body.outcome, body.userForeignIdentifier);
          // Closed before consent began: there is nothing to wait for.
          else if (closedAt && body.state === "waiting" && this.#busy && document.hasFocus()) this.#end("cancelled", null, null, true);
        } catch { /* your policy may not allow it (connect-src), or the network is away */ }
        asking = false;
      };
      // `closed` is also true for a window that a sign-in page with a Cross-Origin-Opener-Policy
      // severed from this one, so the broker is asked; a user who is back here has closed it.
      const look = () => {
        const now = Date.now();
        if (!popup.closed) return undefined;
        closedAt ||= now;
        focusedAt = document.hasFocus() ? focusedAt || now : 0;
        if (this.#busy && focusedAt && now - focusedAt > GRACE_MS) this.#end("cancelled", null, null, true);
        if (now - closedAt > GIVE_UP_MS) return this.#busy ? this.#end("cancelled") : this.#stop();
        if (!asking && now - askedAt > (now - closedAt > 60_000 ? 5 * ASK_MS : ASK_MS)) ask();
        return undefined;
      };
      const timer = setInterval(look, LOOK_MS);
      this.#stop = () => { over = true; clearInterval(timer); removeEventListener("message", heard); };
      addEventListener("message", heard);
      ask();
    }

    #end(outcome, user, reason = REASONS[outcome], watching = false) {
      if (!watching) this.#stop();
      this.#setBusy(false);
      const kind = KINDS[outcome] ?? "failed";
      if (kind === "failed") console.warn(`connect-hubspot: ${outcome}${reason ? `: ${reason}` : ""}`);
      this.#status.textContent = WORDS[outcome] ?? WORDS[kind];
      this.dispatchEvent(new CustomEvent(kind, {
        bubbles: true, composed: true,
        detail: { code: outcome, ...(user ? { userForeignIdentifier: user } : {}), ...(reason ? { reason } : {}) } }));
    }

    #setBusy(busy) {
      this.#busy = busy;
      this.#button.setAttribute("aria-disabled", String(busy));
      this.#status.textContent = busy ? WORDS.busy : "";
    }
  }
  customElements.define("connect-hubspot", ConnectHubSpot);
})();
