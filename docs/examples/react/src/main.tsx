// The button in React 19, against an API on another origin (../express).
import "hubspot-broker-connect";
import type { OutcomeDetail } from "hubspot-broker-connect";
import type {} from "hubspot-broker-connect/react";
import { useState } from "react";
import { createRoot } from "react-dom/client";

declare const BROKER: string;
declare const API: string;

const headers = { "X-Requested-With": "fetch" };

function Integrations() {
  const [outcome, setOutcome] = useState<OutcomeDetail>();
  return (
    <>
      <h1>Integrations</h1>
      <connect-hubspot
        broker={BROKER}
        session-url={`${API}/hubspot/session`}
        status-url={`${API}/hubspot/status`}
        confirm-url={`${API}/hubspot/confirm`}
        disconnect-url={`${API}/hubspot/disconnect`}
        credentials="include"
        headers={headers}
        onconnected={(event) => setOutcome(event.detail)}
        onfailed={(event) => setOutcome(event.detail)}
      />
      <p role="status">{outcome?.code}</p>
    </>
  );
}

createRoot(document.getElementById("root")!).render(<Integrations />);
