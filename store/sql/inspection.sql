-- name: seen_rooms
SELECT room_id FROM rooms
UNION SELECT actor FROM inbox WHERE status = 'waiting' AND actor LIKE '!%'
UNION SELECT actor FROM inbox WHERE status = 'set_aside' AND actor LIKE '!%'
ORDER BY 1;

-- name: room_labels
SELECT room_id, room_type, chat_id, name, matrix_user_id AS owner FROM rooms
UNION SELECT actor, NULL, NULL, '', NULL FROM inbox
    WHERE status IN ('waiting', 'set_aside') AND actor LIKE '!%'
    AND actor NOT IN (SELECT room_id FROM rooms)
ORDER BY 1;

-- name: count_waiting_inbox
SELECT count(*) FROM inbox WHERE actor = :room_id AND status = 'waiting';

-- name: count_waiting_outbox
SELECT count(*) FROM outbox WHERE lane = :room_id AND status = 'waiting';

-- name: first_received
SELECT min(received_at) FROM inbox WHERE actor = :room_id;

-- name: totals
SELECT
    (SELECT count(*) FROM rooms) AS rooms,
    (SELECT count(*) FROM users) AS users,
    (SELECT count(*) FROM inbox WHERE status = 'waiting') AS inbox_pending,
    (SELECT count(*) FROM outbox WHERE status = 'waiting') AS outbox_pending,
    (SELECT count(*) FROM turns) AS turns;

-- name: failures
SELECT 'set_aside' AS fate, actor AS origin, kind, event_id, reason, received_at AS at
    FROM inbox WHERE status = 'set_aside' AND (:origin IS NULL OR actor = :origin)
UNION ALL
SELECT 'refused', lane, kind, event_id, reason, created_at
    FROM outbox WHERE status = 'refused' AND (:origin IS NULL OR lane = :origin)
UNION ALL
SELECT 'quarantined', coalesce(room_id, ''), source, event_id,
    reason || CASE WHEN sender IS NOT NULL THEN ', from ' || sender ELSE '' END
        || CASE WHEN times > 1 THEN ', ' || times || ' times' ELSE '' END, at
    FROM quarantine WHERE :origin IS NULL OR coalesce(room_id, '') = :origin
ORDER BY 6;

-- name: last_transitions
SELECT subject, at, event, source, target, reason, report FROM transitions
WHERE subject = :subject ORDER BY seq DESC LIMIT :last;

-- name: last_report
SELECT report FROM transitions
WHERE subject = :subject AND report IS NOT NULL ORDER BY seq DESC LIMIT 1;

-- name: failed_turns
SELECT room_id, at, turn_id, agent_id, kind, reason FROM failed_turns
WHERE room_id = :room_id ORDER BY seq;
