import type { DetailedHTMLProps, HTMLAttributes } from "react";
import type { ConnectEvents, ConnectHubSpotElement } from "./connect.js";

type Listeners = { [K in keyof ConnectEvents as `on${K}`]?: (event: ConnectEvents[K]) => void };

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "connect-hubspot": DetailedHTMLProps<HTMLAttributes<ConnectHubSpotElement>, ConnectHubSpotElement> &
        Partial<Pick<ConnectHubSpotElement, "headers" | "session" | "texts">> &
        Listeners & {
          "session-url"?: string;
          "status-url"?: string;
          "confirm-url"?: string;
          "disconnect-url"?: string;
          "csrf-header"?: string;
          "csrf-meta"?: string;
          broker?: string;
          connected?: boolean | string;
          credentials?: RequestCredentials;
          mode?: "popup" | "redirect";
          provider?: string;
        };
    }
  }
}
