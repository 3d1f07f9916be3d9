-- Ledgers that differ from their rows: account, quota, used and promised as stored, used and promised as counted.
-- The account '' stands for the space ledger. The sums are described at SqliteState.recount.
WITH
sums (account, used, promised) AS (
    SELECT account, sum(size), 0 FROM files WHERE deleted_at IS NULL GROUP BY account
    UNION ALL
    SELECT account, 0, sum(reserved) FROM uploads WHERE state IN ('active', 'assembling', 'verifying') GROUP BY account
    UNION ALL
    SELECT account, 0, sum(reserved) FROM uploads WHERE state = 'completed' AND kind = 'partial' GROUP BY account
    UNION ALL
    SELECT id, 0, 0 FROM accounts
),
counted (account, used, promised) AS (SELECT account, sum(used), sum(promised) FROM sums GROUP BY account),
outstanding (bytes) AS (
    SELECT coalesce(sum(max(0, reserved - max(allocated, "offset" + coalesce(
        (SELECT sum("end" - start) FROM islands WHERE upload_id = uploads.id), 0)))), 0)
    FROM uploads WHERE state IN ('active', 'assembling', 'verifying')
),
ledgers (id, quota, used, promised, counted_used, counted_promised) AS (
    SELECT c.account, a.quota, coalesce(a.used, 0), coalesce(a.promised, 0), c.used, c.promised
    FROM counted AS c LEFT JOIN accounts AS a ON a.id = c.account WHERE c.account <> ''
    UNION ALL
    SELECT '', NULL, 0, coalesce((SELECT promised FROM space), 0), 0, bytes FROM outstanding
)
SELECT id, quota, used, promised, counted_used, counted_promised FROM ledgers
WHERE used <> counted_used OR promised <> counted_promised;
