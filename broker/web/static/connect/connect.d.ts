/** What your session endpoint, or the `session` function, responds with: the broker's answer, or its `url`. */
export interface ConnectSession {
  url: string;
}

/** What `status-url` responds with. */
export interface ConnectStatus {
  connected: boolean;
  status?: "ACTIVE" | "PENDING" | "REAUTH_REQUIRED" | (string & {}) | null;
  accountName?: string | null;
}

export interface OutcomeDetail {
  /** `connected`, `pending`, `cancelled`, `consent-denied`, `popup-blocked`, `session-failed` or an error code. */
  code: string;
  userForeignIdentifier?: string;
  /** For developers, never for users. */
  reason?: string;
}

export type TextKey =
  | "ready" | "busy" | "connected" | "connected-to" | "lost" | "waiting" | "reconnect" | "disconnect" | "disconnecting"
  | "disconnect-question" | "cancel" | "disconnected" | "disconnect-failed" | "portal-mismatch-question" | "switch" | "keep"
  | "kept" | "pending" | "cancelled" | "popup-blocked" | "session-failed" | "confirm-failed" | "failed" | "scopes-missing"
  | "portal-mismatch" | "link-used" | "link-expired" | "other-browser" | "origin-refused" | "credentials-refused"
  | "hubspot-unavailable" | "hubspot-timeout" | "vendor-unavailable" | "vendor-timeout";

export type Texts = Partial<Record<TextKey, string>>;

export interface ConnectEvents {
  connected: CustomEvent<OutcomeDetail>;
  pending: CustomEvent<OutcomeDetail>;
  cancelled: CustomEvent<OutcomeDetail>;
  failed: CustomEvent<OutcomeDetail>;
  /** Cancelable: `preventDefault()` keeps the button from starting. */
  reconnect: CustomEvent<Record<string, never>>;
  /** The user confirmed. Cancelable: `preventDefault()` keeps the button from calling `disconnect-url`. */
  disconnect: CustomEvent<Record<string, never>>;
  disconnected: CustomEvent<Record<string, never>>;
}

export interface ConnectHubSpotElement extends HTMLElement {
  /** Sent to your own endpoints, never to the broker. */
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
  /** Instead of `session-url`. */
  session?: () => ConnectSession | string | Promise<ConnectSession | string>;
  /** By key, or by language and then by key. */
  texts: Texts | Record<string, Texts>;
  get connected(): boolean;
  set connected(value: boolean | string | null);
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  refresh(): Promise<void>;
  addEventListener<K extends keyof ConnectEvents>(
    type: K, listener: (this: ConnectHubSpotElement, event: ConnectEvents[K]) => unknown, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "connect-hubspot": ConnectHubSpotElement;
  }
}
