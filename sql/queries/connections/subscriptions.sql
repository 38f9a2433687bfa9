-- name: wake_subscriptions_of_account
-- A user has connected an account: its webhook subscriptions are looked at now, if the app wants any.
--   $1 workspace, $2 app, $3 account id
INSERT INTO subscription_check (workspace_id, app_id, account_id)
SELECT workspace_id, id, $3
  FROM app
 WHERE workspace_id = $1
   AND id = $2
   AND options->>'webhookTopics' <> ''
ON CONFLICT (workspace_id, app_id, account_id) DO UPDATE
   SET due_at = EXCLUDED.due_at, claim = subscription_check.claim + 1, failures = 0;

-- name: wake_subscriptions_of_app
-- An app has changed what it wants: the subscriptions in every connected account are looked at now.
--   $1 workspace, $2 app
INSERT INTO subscription_check (workspace_id, app_id, account_id)
SELECT DISTINCT workspace_id, app_id, account_id
  FROM connection
 WHERE workspace_id = $1
   AND app_id = $2
   AND status = 'ACTIVE'
ON CONFLICT (workspace_id, app_id, account_id) DO UPDATE
   SET due_at = EXCLUDED.due_at, claim = subscription_check.claim + 1, failures = 0,
       checked_at = NULL;

-- name: stop_subscription_checks_of_app
-- An app wants no subscriptions any more.
--   $1 workspace, $2 app
DELETE FROM subscription_check
 WHERE workspace_id = $1
   AND app_id = $2;

-- name: due_subscription_checks
-- Accounts whose subscriptions are to be looked at.
--   $1 how many
SELECT workspace_id, app_id, account_id, claim
  FROM subscription_check
 WHERE due_at <= now()
 ORDER BY due_at
 LIMIT $1;

-- name: claim_subscription_check
-- Take an account, unless another process has taken it.
--   $1 workspace, $2 app, $3 account id, $4 claim, $5 lease
UPDATE subscription_check
   SET due_at = now() + $5::interval, claim = claim + 1
 WHERE workspace_id = $1
   AND app_id = $2
   AND account_id = $3
   AND claim = $4
   AND due_at <= now()
RETURNING failures, checked_at IS NULL AS is_new;

-- name: user_of_account
-- A user through whom an account can be called, and the app's slug.
--   $1 workspace, $2 app, $3 account id
SELECT app.slug, connection.user_ref
  FROM connection
  JOIN app
    ON app.workspace_id = connection.workspace_id
   AND app.id = connection.app_id
 WHERE connection.workspace_id = $1
   AND connection.app_id = $2
   AND connection.account_id = $3
   AND connection.status = 'ACTIVE'
 ORDER BY connection.number
 LIMIT 1;

-- name: end_subscription_check
-- An account was looked at: again after a pause.
--   $1 workspace, $2 app, $3 account id, $4 claim, $5 pause, $6 failures in a row
UPDATE subscription_check
   SET due_at = now() + $5::interval, failures = $6,
       checked_at = CASE WHEN $6 = 0 THEN clock.now ELSE checked_at END
  FROM (SELECT now() AS now) AS clock
 WHERE workspace_id = $1
   AND app_id = $2
   AND account_id = $3
   AND claim = $4;

-- name: delete_subscription_check
-- Nobody is connected to the account: it is looked at again when somebody is.
--   $1 workspace, $2 app, $3 account id, $4 claim
DELETE FROM subscription_check
 WHERE workspace_id = $1
   AND app_id = $2
   AND account_id = $3
   AND claim = $4;
