-- name: reserve_invoice
-- A run is about to ask for the invoice of a deal, unless another run has, or it has in another account.
--   $1 workspace, $2 hub, $3 deal, $4 run, $5 partner app, $6 provider, $7 account, $8 token
INSERT INTO deal_invoice AS invoice (workspace_id, hub_id, deal_id, run_id, partner_app, provider,
                                     account_id, token)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (workspace_id, hub_id, deal_id) DO UPDATE
   SET partner_app = $5
 WHERE invoice.run_id = $4
   AND invoice.provider = $6
   AND invoice.account_id = $7
RETURNING token, customers, invoice_id, status;

-- name: add_customer_of_invoice
-- The invoice of a run may be for this customer.
--   $1 workspace, $2 run, $3 customer
UPDATE deal_invoice
   SET customers = array_append(customers, $3)
 WHERE workspace_id = $1
   AND run_id = $2
   AND NOT $3 = ANY (customers);

-- name: release_invoice
-- The vendor has refused the invoice of a run: there is none.
--   $1 workspace, $2 run
DELETE FROM deal_invoice
 WHERE workspace_id = $1
   AND run_id = $2
   AND invoice_id IS NULL;

-- name: record_invoice
-- The invoice that a run has, and its status.
--   $1 workspace, $2 run, $3 invoice, $4 status
UPDATE deal_invoice
   SET invoice_id = $3, status = $4
 WHERE workspace_id = $1
   AND run_id = $2;

-- name: invoice_of_deal
-- The invoice of a deal.
--   $1 workspace, $2 hub, $3 deal
SELECT deal_id, run_id, partner_app, provider, account_id, invoice_id, status
  FROM deal_invoice
 WHERE workspace_id = $1
   AND hub_id = $2
   AND deal_id = $3;

-- name: invoice_of_run
-- The invoice of a run.
--   $1 workspace, $2 run
SELECT deal_id, run_id, partner_app, provider, account_id, invoice_id, status
  FROM deal_invoice
 WHERE workspace_id = $1
   AND run_id = $2;

-- name: statuses_of_invoices
-- What became of the invoices of some runs, as far as it is known.
--   $1 workspace, $2 runs
SELECT run_id, status
  FROM deal_invoice
 WHERE workspace_id = $1
   AND run_id = ANY ($2::uuid[])
   AND status IS NOT NULL;

-- name: runs_of_invoices
-- The runs that made some invoices of a company.
--   $1 workspace, $2 provider, $3 account, $4 invoices
SELECT run_id
  FROM deal_invoice
 WHERE workspace_id = $1
   AND provider = $2
   AND account_id = $3
   AND invoice_id = ANY ($4::text[]);
