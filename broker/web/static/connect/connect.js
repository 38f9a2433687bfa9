// <connect-hubspot session-url="/your/endpoint">: a button that connects a user's HubSpot account, and shows the
// connection afterwards. Attributes, properties, events and texts are described in docs/connect.md; the types in
// connect.d.ts. Works as a classic script, as a module and from a bundler; does nothing where there is no browser.
(() => {
  "use strict";
  if (typeof customElements === "undefined" || customElements.get("connect-hubspot")) return;
  // A module has no currentScript, but its own address stands in a stack trace.
  const SCRIPT = document.currentScript?.src || new Error().stack?.match(/https?:\/\/[^\s()@]+?\/connect\.js/)?.[0];
  const RETURNING = "connect-hubspot:returning";
  const TEXTS = {
    ready: "Connect to {provider}",
    busy: "Connecting…",
    connected: "{provider} is connected.",
    "connected-to": "Connected to {account}.",
    lost: "The connection to {account} no longer works. Reconnect to continue.",
    waiting: "The connection is waiting to be confirmed.",
    reconnect: "Reconnect",
    disconnect: "Disconnect",
    disconnecting: "Disconnecting…",
    "disconnect-question": "Disconnect {account}?",
    cancel: "Cancel",
    disconnected: "{provider} is disconnected.",
    "disconnect-failed": "{provider} could not be disconnected. Try again in a minute.",
    "portal-mismatch-question": "You chose a different {provider} account. Use it instead of the current one?",
    switch: "Use the new account",
    keep: "Keep the current account",
    kept: "You stay connected to {account}.",
    pending: "One more step: confirm the connection in the window that just opened.",
    cancelled: "{provider} was not connected. You can try again at any time.",
    "popup-blocked": "Your browser blocked the window. Click again to continue in this tab.",
    "session-failed": "The connection could not be started. Try again in a minute; if it keeps failing, contact support.",
    "confirm-failed": "The connection could not be confirmed. Try again; if it keeps failing, contact support.",
    failed: "{provider} was not connected. Try again; if it keeps failing, contact support.",
    "scopes-missing": "{provider} did not grant all the permissions we need. Ask an administrator of your {provider} account to connect.",
    "portal-mismatch": "You chose a different {provider} account. Your current account stays connected until you confirm the change.",
    "link-used": "That link was already used. Try again.",
    "link-expired": "That took too long. Try again.",
    "other-browser": "Finish in the browser where you started, or try again here.",
    "origin-refused": "{provider} cannot be connected from this page yet. Contact support.",
    "credentials-refused": "{provider} could not be connected because of a problem on our side. Contact support.",
    "hubspot-unavailable": "{provider} could not be reached. Try again in a minute.",
    "hubspot-timeout": "{provider} did not respond in time. Try again in a minute.",
    "vendor-unavailable": "{provider} could not be reached. Try again in a minute.",
    "vendor-timeout": "{provider} did not respond in time. Try again in a minute.",
  };
  const REASONS = {
    "credentials-refused": "the provider rejects the app's client id or client secret; correct the app in the broker's console",
    "scopes-missing": "fewer scopes were granted than the app asks for",
  };
  const KINDS = { connected: "connected", pending: "pending", cancelled: "cancelled", "consent-denied": "cancelled", kept: "cancelled" };
  const [LOOK_MS, ASK_MS, GRACE_MS, CODE_MS, SEVERED_MS, GIVE_UP_MS] = [300, 1000, 4000, 3000, 2000, 10 * 60_000];
  const SEVERED = "the window was closed at once, or cut off from this page: " +
    "a page with a Cross-Origin-Opener-Policy has to send same-origin-allow-popups";
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { display: inline-block; font: var(--connect-font, 1rem/1.25 system-ui, sans-serif);
      --accent: var(--connect-background, light-dark(#b3401a, #ff9d7a)); }
    :host([hidden]), [hidden] { display: none !important; }
    button { font: inherit; cursor: pointer; border-radius: var(--connect-radius, .5rem); border: 1px solid var(--connect-border, var(--accent)); }
    [part=button] { font-weight: 600; padding: var(--connect-padding, .65rem 1.1rem);
      background: var(--accent); color: var(--connect-color, light-dark(#fff, #2a0d02)); }
    [part~=action] { font-size: .9em; padding: .35rem .75rem; margin: .4rem .4rem 0 0; background: transparent; color: inherit; border-color: currentcolor; }
    button:focus-visible { outline: 3px solid var(--connect-focus, light-dark(#0b5a7a, #7cc7e8)); outline-offset: 2px; }
    button[aria-disabled=true] { opacity: .75; cursor: progress; }
    p { font-size: .9em; line-height: 1.4; margin: .4rem 0 0; max-width: 24rem; overflow-wrap: anywhere; }
    p:empty { display: none; }`);
  /** What a page says to who reads it. */
  const wordsOf = (page) => {
    try {
      return new DOMParser().parseFromString(page, "text/html").body.textContent.replace(/\s+/g, " ").trim();
    } catch { return page; } // your policy may not allow it (require-trusted-types-for)
  };

  class ConnectHubSpot extends HTMLElement {
    static observedAttributes = ["connected", "status-url", "lang", "provider"];
    #button; #label; #message; #actions; #texts = {}; #state = null; #said = ""; #question = null;
    #busy = false; #stop = () => {}; #inThisTab = false; #placed = false;

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open", delegatesFocus: true });
      root.adoptedStyleSheets = [sheet];
      const make = (tag, part, ...inside) => {
        const element = document.createElement(tag);
        element.setAttribute("part", part);
        element.append(...inside);
        return element;
      };
      const icon = document.createElement("slot");
      icon.name = "icon";
      this.#label = document.createElement("slot");
      this.#button = make("button", "button", icon, this.#label);
      this.#button.type = "button";
      this.#button.addEventListener("click", () => this.connect());
      this.#message = make("p", "message");
      this.#message.setAttribute("role", "status");
      this.#actions = make("div", "actions");
      root.append(this.#button, this.#message, this.#actions);
      // What a framework set before this script arrived hides the properties of the class.
      for (const name of ["headers", "session", "texts", "connected"]) {
        if (!Object.hasOwn(this, name)) continue;
        const value = this[name];
        delete this[name];
        this[name] = value;
      }
    }

    connectedCallback() {
      this.#placed = true;
      this.#render();
      if (!this.#returned()) this.refresh();
    }

    attributeChangedCallback(name) {
      if (name === "connected") {
        const account = this.getAttribute("connected");
        this.#state = account === null ? null : { connected: true, status: "ACTIVE", accountName: account };
        this.#said = "";
      }
      if (!this.#placed) return; // it is asked for once it is in the page
      this.#render();
      if (name === "status-url") this.refresh();
    }

    disconnectedCallback() {
      this.#placed = false;
      this.#stop();
    }

    /** Whether the user is connected, as far as the button knows. Set it to true, false or the account's name. */
    get connected() { return this.#state?.connected === true; }

    set connected(value) {
      if (value === false || value == null) {
        this.removeAttribute("connected");
        this.#state = null;
      } else this.setAttribute("connected", value === true ? "" : value);
      if (this.isConnected) this.#render();
    }

    /** Other texts than the English ones, by key; or by language, then by key. */
    get texts() { return this.#texts; }

    set texts(value) {
      this.#texts = value ?? {};
      if (this.isConnected) this.#render();
    }

    /** Ask `status-url` how the connection is, and show it. */
    async refresh() {
      if (!this.hasAttribute("status-url")) return;
      try {
        this.#state = await this.#request("GET", this.getAttribute("status-url"));
      } catch (error) {
        console.warn(`connect-hubspot: status-failed: ${error.message}`);
      }
      this.#render();
    }

    /** Start; call it from a click, or browsers block the window. */
    async connect() {
      if (this.#busy) return undefined;
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

    /** Tell your backend to disconnect, without asking the user again; fires `disconnect` first. */
    async disconnect() {
      if (this.#busy || !this.#fire("disconnect", {}, true) || !this.hasAttribute("disconnect-url")) return;
      this.#setBusy(true, this.#text("disconnecting"));
      try {
        await this.#request("POST", this.getAttribute("disconnect-url"));
      } catch (error) {
        this.#end("disconnect-failed", null, error.message);
        return;
      }
      this.connected = false;
      this.#setBusy(false, this.#text("disconnected"));
      this.#fire("disconnected", {});
    }

    get #name() { return `${this.id} ${this.getAttribute("mode")} ${this.getAttribute("session-url")}`; }

    /** The broker's origin: where this script came from, unless a bundler moved it. */
    get #broker() {
      const address = this.getAttribute("broker") ?? SCRIPT;
      if (!address) throw new Error('name the broker: <connect-hubspot broker="https://broker.example">');
      return new URL(address, document.baseURI).origin;
    }

    #text(key) {
      const language = this.closest("[lang]")?.lang.toLowerCase() ?? "";
      const own = [this.#texts[language], this.#texts[language.split("-")[0]], this.#texts].find((each) => typeof each?.[key] === "string");
      const values = { provider: this.getAttribute("provider") ?? "HubSpot" };
      values.account = this.#state?.accountName || values.provider;
      return (own ?? TEXTS)[key]?.replace(/\{(provider|account)\}/g, (_, name) => values[name]);
    }

    /** Back from a full-page redirect: the broker appended the outcome to your return URL, which may have parameters
     * of the same names. */
    #returned() {
      const query = new URL(location.href).searchParams;
      const last = (name) => query.getAll(name).at(-1);
      if (!query.has("status") || sessionStorage.getItem(RETURNING) !== this.#name) return false;
      sessionStorage.removeItem(RETURNING);
      const outcome = last("status") === "error" ? last("code") : last("status");
      const code = this.hasAttribute("confirm-url") && location.hash.match(/^#confirm=(.+)/)?.[1];
      if (code) history.replaceState(history.state, "", location.pathname + location.search);
      const user = last("userForeignIdentifier");
      const finish = () => (code ? this.#confirm(outcome, decodeURIComponent(code), user) : this.#end(outcome, user));
      if (document.readyState === "complete") queueMicrotask(finish);
      else addEventListener("load", finish, { once: true }); // your listeners are there by then
      return true;
    }

    /** A fresh session's address. Throws what a developer needs to know. */
    async #session() {
      const body = this.session ? await this.session() : await this.#request("POST", this.getAttribute("session-url"));
      const address = typeof body === "string" ? body : body?.url;
      if (!address) throw new Error(`${this.session ? "`session`" : "the session endpoint"} did not respond with {"url": ...}`);
      const url = new URL(address);
      if (url.origin !== this.#broker) {
        throw new Error(`the session belongs to ${url.origin}, not to ${this.#broker}; if that is your broker, set the attribute broker="${url.origin}"`);
      }
      return url;
    }

    /** What your backend answers. Throws what a developer needs to know. */
    async #request(method, address, data) {
      const headers = new Headers({ Accept: "application/json" });
      if (data) headers.set("Content-Type", "application/json");
      if (method !== "GET" && (this.hasAttribute("csrf-header") || this.hasAttribute("csrf-meta"))) {
        const name = this.getAttribute("csrf-meta") || "csrf-token";
        const meta = Array.from(document.querySelectorAll("meta[name]")).find((each) => each.name === name);
        if (!meta) throw new Error(`the page has no <meta name="${name}">`);
        headers.set(this.getAttribute("csrf-header") || "X-CSRF-Token", meta.content);
      }
      const own = typeof this.headers === "function" ? await this.headers() : this.headers;
      new Headers(own ?? {}).forEach((value, name) => headers.set(name, value));
      const credentials = this.getAttribute("credentials") ?? "same-origin";
      const response = await fetch(address, { method, headers, credentials, body: data && JSON.stringify(data) });
      const text = await response.text();
      let body;
      try { body = JSON.parse(text); } catch { /* not JSON: the text says what it can */ }
      if (!response.ok) {
        const words = response.headers.get("Content-Type")?.includes("html") ? wordsOf(text) : text;
        throw new Error(`${address} responded ${response.status}: ${body?.detail ?? words.slice(0, 300)}`);
      }
      // A page is no answer, such as the sign-in page of a user whose session has ended.
      if (body === undefined && (response.redirected || (method === "GET" && text))) {
        throw new Error(`${address} led to the page ${new URL(response.url).pathname}, not to an answer: is the user still signed in?`);
      }
      return body;
    }

    #watch(popup, nonce, address) {
      const [broker, opened] = [this.#broker, Date.now()];
      let [over, asking, closedAt, focusedAt, askedAt, offered, user] = [false, false, 0, 0, 0, null, null];
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
        if (offered) {
          if (message.confirm) this.#confirm(offered, message.confirm, user);
        } else if (message.confirmable && event.source && this.hasAttribute("confirm-url")) {
          // Ask for the code; a window that does not hand it on takes it to the return URL by itself.
          [offered, user] = [message.outcome, message.userForeignIdentifier];
          event.source.postMessage({ type: "broker:confirm", nonce }, broker);
          setTimeout(() => finish(message.outcome, message.userForeignIdentifier), CODE_MS);
        } else finish(message.outcome, message.userForeignIdentifier);
      };
      const ask = async () => {
        [asking, askedAt] = [true, Date.now()];
        try {
          const response = await fetch(address, { credentials: "omit" });
          const body = await response.json();
          if (over || offered) return;
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
        if (!popup.closed || offered) return undefined;
        if (!closedAt && now - opened < SEVERED_MS) console.warn(`connect-hubspot: ${SEVERED}`);
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

    /** Bring a code to `confirm-url`; another account than before only if the user wants it. */
    async #confirm(outcome, confirm, user) {
      this.#stop();
      if (outcome === "portal-mismatch") {
        this.#setBusy(false);
        const wanted = await this.#asks("portal-mismatch-question", "switch", "keep");
        if (wanted === null) return;
        if (!wanted) {
          this.#end("kept");
          return;
        }
      }
      this.#setBusy(true);
      try {
        await this.#request("POST", this.getAttribute("confirm-url"), { confirm });
      } catch (error) {
        this.#end("confirm-failed", null, error.message);
        return;
      }
      this.#end("connected", user);
    }

    #end(outcome, user, reason = REASONS[outcome], watching = false) {
      if (!watching) this.#stop();
      const kind = KINDS[outcome] ?? "failed";
      if (kind === "failed") console.warn(`connect-hubspot: ${outcome}${reason ? `: ${reason}` : ""}`);
      if (kind === "connected") this.#state = { connected: true, status: "ACTIVE", accountName: "" };
      // Who keeps an earlier connection is not told that there is none.
      const said = kind === "cancelled" && this.connected ? "kept" : outcome;
      this.#setBusy(false, kind === "connected" ? "" : this.#text(said) ?? this.#text(kind));
      this.#fire(kind, { code: outcome, ...(user ? { userForeignIdentifier: user } : {}), ...(reason ? { reason } : {}) });
      if (kind === "connected") this.refresh();
    }

    #fire(name, detail, cancelable = false) {
      return this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, cancelable, detail }));
    }

    #setBusy(busy, said = "") {
      [this.#busy, this.#said, this.#question] = [busy, said, null];
      this.#render();
    }

    /** Ask the user with two buttons: true, false, or null when something else happened meanwhile. */
    #asks(question, yes, no) {
      return new Promise((resolve) => {
        this.#question?.resolve(null);
        const choose = (choice) => () => {
          this.#question = null;
          this.#render();
          resolve(choice);
        };
        this.#question = { text: question, resolve, actions: [[yes, choose(true)], [no, choose(false)]] };
        this.#render();
      });
    }

    /** Everything that is shown, from what is known. */
    #render() {
      const known = this.#state?.connected === true || ["REAUTH_REQUIRED", "PENDING"].includes(this.#state?.status);
      const status = this.#state?.connected ? "connected" : { REAUTH_REQUIRED: "lost", PENDING: "waiting" }[this.#state?.status];
      const about = status === "connected" && this.#state.accountName ? "connected-to" : status;
      this.setAttribute("state", this.#busy ? "busy" : status ?? "ready");
      this.#label.textContent = this.#text("ready");
      this.#button.hidden = known;
      this.#button.setAttribute("aria-disabled", String(this.#busy));
      let actions = [];
      if (this.#question) actions = this.#question.actions;
      else if (known && !this.#busy) {
        actions = [["reconnect", () => this.#fire("reconnect", {}, true) && this.connect()]];
        const managed = ["status-url", "disconnect-url", "connected"].some((name) => this.hasAttribute(name));
        if (managed) actions.push(["disconnect", async () => {
          if (await this.#asks("disconnect-question", "disconnect", "cancel")) this.disconnect();
        }]);
      }
      this.#say(this.#question ? this.#text(this.#question.text) : this.#busy && !this.#said ? this.#text("busy") : this.#said || (about ? this.#text(about) : ""));
      const focused = this.shadowRoot.activeElement;
      this.#actions.replaceChildren(...actions.map(([key, act]) => {
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("part", `action ${key}`);
        button.textContent = this.#text(key);
        button.addEventListener("click", act);
        return button;
      }));
      // The button that was pressed may be gone: a person at the keyboard continues where it was, with the safe choice.
      const next = this.#question ? this.#actions.lastElementChild : this.#actions.firstElementChild;
      if (focused && focused !== this.shadowRoot.activeElement) (next ?? this.#button).focus();
    }

    #say(text) {
      if (this.#message.textContent !== text) this.#message.textContent = text;
    }
  }
  Object.assign(ConnectHubSpot.prototype, { headers: undefined, session: undefined });
  customElements.define("connect-hubspot", ConnectHubSpot);
})();
