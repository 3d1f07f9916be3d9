-- Per state of an account's uploads (?1), parts left out: how many, bytes that arrived, sum of progress in percent.
SELECT
    state,
    count(*),
    sum(received),
    sum(CASE WHEN length IS NULL THEN 0.0 WHEN length = 0 THEN 100.0 ELSE 100.0 * received / length END)
FROM (
    SELECT
        state,
        length,
        "offset" + coalesce((SELECT sum("end" - start) FROM islands WHERE upload_id = uploads.id), 0) AS received
    FROM uploads
    WHERE account = ?1 AND kind <> 'partial'
)
GROUP BY state;
