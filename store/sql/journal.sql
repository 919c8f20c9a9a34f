-- name: set_sync_token
UPDATE bot SET sync_token = :token WHERE id = 1;

-- name: put_inbox
INSERT INTO inbox (actor, kind, event_id, payload, priority, status, reason, received_at)
VALUES (:actor, :kind, :event_id, :payload, :priority, :status, :reason, :received_at)
ON CONFLICT (event_id) DO NOTHING;

-- name: ack_inbox
UPDATE inbox SET status = 'done', payload = '' WHERE seq = :seq;

-- name: waiting_message
SELECT seq, payload FROM inbox
WHERE event_id = :event_id AND actor = :actor AND status = 'waiting'
    AND kind IN ('message', 'file', 'unsupported_message', 'malformed_message');

-- name: is_turn
SELECT 1 FROM turns WHERE turn_id = :turn_id AND room_id = :room_id;

-- name: replace_message
UPDATE inbox SET payload = :payload WHERE seq = :seq;

-- name: dead_letter_inbox
UPDATE inbox SET status = 'set_aside', reason = :reason WHERE seq = :seq;

-- name: chat_owner
SELECT matrix_user_id FROM rooms WHERE room_id = :room_id AND room_type = 'chat';

-- name: queue
SELECT
    (SELECT count(*) FROM (SELECT 1 FROM inbox WHERE actor = :actor AND priority = :priority
        AND status = 'waiting' LIMIT :most)) AS waiting,
    EXISTS (SELECT 1 FROM overflows WHERE actor = :actor AND priority = :priority) AS overflowing;

-- name: put_overflow
INSERT INTO overflows (actor, priority, since) VALUES (:actor, :priority, :at);

-- name: end_overflow
DELETE FROM overflows WHERE actor = :actor AND priority = :priority;

-- name: is_failed_and_reported
SELECT 1 FROM rooms WHERE room_id = :room_id AND state = 'failed' AND (told = 1 OR looks > 0);

-- name: first_waiting
SELECT seq, payload, priority, received_at FROM inbox
WHERE actor = :actor AND status = 'waiting' ORDER BY priority, seq LIMIT :limit;

-- name: waiting_inbox
SELECT seq, payload, priority, received_at FROM inbox
WHERE actor = :actor AND status = 'waiting' AND priority = :priority AND seq > :after
ORDER BY seq LIMIT :limit;

-- name: actors_with_work
SELECT actor, sum(waiting) FROM (
    SELECT actor, count(*) AS waiting FROM inbox WHERE status = 'waiting' GROUP BY actor
    UNION ALL SELECT room_id, 0 FROM turns
    UNION ALL SELECT room_id, 0 FROM rooms WHERE looking = 1)
GROUP BY actor ORDER BY actor;

-- name: put_outbox
INSERT INTO outbox (txn_id, lane, actor, kind, payload, reports, edits, not_before, created_at,
    device_id)
VALUES (:txn_id, :lane, :actor, :kind, :payload, :reports, :edits, :not_before, :created_at,
    (SELECT device_id FROM bot WHERE id = 1))
ON CONFLICT (txn_id) DO NOTHING;

-- name: drop_edits
DELETE FROM outbox WHERE edits = :edits AND status = 'waiting';

-- name: waiting_outbox
SELECT seq, txn_id, lane, actor, payload, reports, not_before, created_at,
    created_at < :fresh OR device_id IS NOT (SELECT device_id FROM bot WHERE id = 1) AS txn_id_expired
FROM outbox WHERE status = 'waiting' ORDER BY seq;

-- name: finish_outbox
UPDATE outbox SET status = :status, event_id = :event_id, reason = :reason,
    payload = CASE WHEN :status = 'sent' THEN '' ELSE payload END
WHERE txn_id = :txn_id;

-- name: sent_event
SELECT event_id FROM outbox WHERE txn_id = :txn_id;

-- name: is_own_event
SELECT 1 FROM outbox WHERE event_id = :event_id AND lane = :room_id LIMIT 1;

-- name: has_open_message
SELECT 1 FROM inbox WHERE actor = :room_id AND status = 'waiting' AND priority > 0
UNION ALL
SELECT 1 FROM turns WHERE room_id = :room_id AND turn_id IS NOT :answers
LIMIT 1;

-- name: put_turn
INSERT INTO turns (room_id, turn_id, state, tries, payload)
VALUES (:room_id, :turn_id, :state, :tries, :payload)
ON CONFLICT (room_id) DO UPDATE SET turn_id = excluded.turn_id, state = excluded.state,
    tries = excluded.tries, payload = excluded.payload;

-- name: end_turn
DELETE FROM turns WHERE room_id = :room_id;

-- name: turn
SELECT payload FROM turns WHERE room_id = :room_id;

-- name: put_quarantine
INSERT INTO quarantine (source, room_id, event_id, reason, at, sender, times)
VALUES (:source, :room_id, :event_id, :reason, :at, :sender, :times);

-- name: count_again
UPDATE quarantine SET times = times + :times, at = :at
WHERE coalesce(room_id, sender, '') = :origin AND source = :source AND reason = :reason;

-- name: count_quarantine
SELECT count(*) FROM quarantine;

-- name: origins_of_quarantine
SELECT coalesce(room_id, sender, '') AS origin, count(*) AS count FROM quarantine GROUP BY 1;

-- name: trim_quarantine
DELETE FROM quarantine WHERE coalesce(room_id, sender, '') = :origin AND seq NOT IN (
    SELECT seq FROM quarantine WHERE coalesce(room_id, sender, '') = :origin
    ORDER BY seq DESC LIMIT :count);

-- name: drop_oldest_quarantine
DELETE FROM quarantine WHERE seq IN (SELECT seq FROM quarantine ORDER BY seq LIMIT :count);

-- name: prune_inbox
DELETE FROM inbox WHERE status != 'waiting' AND received_at < :before;

-- name: prune_outbox
DELETE FROM outbox WHERE status != 'waiting' AND created_at < :before
    AND lane NOT IN (SELECT room_id FROM turns)
    AND txn_id NOT IN (
        SELECT coalesce(json_extract(payload, '$.edits'), json_extract(payload, '$.redacts'), '')
        FROM outbox WHERE status = 'waiting'
    );

-- name: prune_quarantine
DELETE FROM quarantine WHERE at < :before;

-- name: prune_transitions
DELETE FROM transitions WHERE at < :before;

-- name: put_failed_turn
INSERT INTO failed_turns (room_id, turn_id, at, agent_id, kind, reason)
VALUES (:room_id, :turn_id, :at, :agent_id, :kind, :reason);

-- name: trim_failed_turns
DELETE FROM failed_turns WHERE room_id = :room_id AND seq <= (
    SELECT seq FROM failed_turns WHERE room_id = :room_id ORDER BY seq DESC LIMIT 1 OFFSET :kept
);

-- name: prune_failed_turns
DELETE FROM failed_turns WHERE at < :before;

-- name: gaps
SELECT * FROM gaps ORDER BY room_id;

-- name: gap
SELECT * FROM gaps WHERE room_id = :room_id;

-- name: put_gap
INSERT INTO gaps (room_id, since, before, was_in) VALUES (:room_id, :since, :before, :was_in)
ON CONFLICT (room_id) DO UPDATE SET before = excluded.before;

-- name: close_gap
DELETE FROM gaps WHERE room_id = :room_id AND since = :since AND before = :before;

-- name: shorten_gap
UPDATE gaps SET since = :before, was_in = 1 WHERE room_id = :room_id AND since = :since;

-- name: drop_gap
DELETE FROM gaps WHERE room_id = :room_id;
