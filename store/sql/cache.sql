-- name: update_room
UPDATE rooms SET state = :state, since = :since, reason = :reason, room_type = :room_type,
    matrix_user_id = :matrix_user_id, chat_id = :chat_id, platform_chat_id = :platform_chat_id,
    agent_id = :agent_id, space_id = :space_id, archived = :archived, name = :name,
    encrypted = :encrypted, onboards = :onboards, owner_membership = :owner_membership,
    owner_present = (:owner_membership = 'join'),
    repaired_at = :repaired_at, looks = :looks, looking = :looking, told = :told,
    reminded = :reminded, heard_seq = :heard_seq, memory = :memory, others = :others
WHERE room_id = :room_id;

-- name: insert_room
INSERT INTO rooms (room_id, state, since, reason) VALUES (:room_id, :state, :since, :reason);

-- name: release_context
UPDATE rooms SET platform_chat_id = NULL
WHERE platform_chat_id = :platform_chat_id AND room_id != :room_id;

-- name: room
SELECT * FROM rooms WHERE room_id = :room_id;

-- name: rooms
SELECT * FROM rooms ORDER BY room_id;

-- name: rooms_about
SELECT * FROM rooms WHERE room_id IN (SELECT value FROM json_each(:rooms))
UNION SELECT * FROM rooms WHERE platform_chat_id IN (SELECT value FROM json_each(:contexts))
UNION SELECT * FROM rooms WHERE room_type = 'chat'
    AND matrix_user_id IN (SELECT value FROM json_each(:users));

-- name: spaces_of_room
SELECT rooms.space_id FROM rooms WHERE room_id = :room_id AND rooms.space_id IS NOT NULL
UNION SELECT users.space_id FROM rooms JOIN users ON users.user_id = rooms.matrix_user_id
WHERE room_id = :room_id AND users.space_id IS NOT NULL;

-- name: put_user
INSERT INTO users (user_id, state, display_name, space_id, next_chat_index, in_hand)
VALUES (:user_id, :state, :display_name, :space_id, :next_chat_index, :in_hand)
ON CONFLICT (user_id) DO UPDATE SET state = excluded.state,
    display_name = excluded.display_name, space_id = excluded.space_id,
    next_chat_index = excluded.next_chat_index, in_hand = excluded.in_hand;

-- name: put_preferences
INSERT INTO preferences (user_id, payload) VALUES (:user_id, :payload)
ON CONFLICT (user_id) DO UPDATE SET payload = excluded.payload;

-- name: preferences
SELECT user_id, payload FROM preferences;

-- name: user
SELECT * FROM users WHERE user_id = :user_id;

-- name: users_about
SELECT * FROM users WHERE user_id IN (SELECT value FROM json_each(:users));

-- name: users
SELECT * FROM users ORDER BY user_id;

-- name: chats_of
SELECT room_id, chat_id, name, agent_id, archived, state, owner_membership,
    (SELECT spaces.owner_membership FROM users JOIN rooms AS spaces ON spaces.room_id = users.space_id
        WHERE users.user_id = :user_id) AS space_membership
FROM rooms
WHERE matrix_user_id = :user_id AND room_type = 'chat'
    AND chat_id IS NOT NULL AND state IN ('bound', 'failed', 'reconciling')
ORDER BY length(chat_id), chat_id;

-- name: bot
SELECT * FROM bot WHERE id = 1;

-- name: put_bot_state
UPDATE bot SET state = :state, since = :since, reason = :reason WHERE id = 1;

-- name: put_session
UPDATE bot SET user_id = :user_id, device_id = :device_id WHERE id = 1;

-- name: raise_platform_chat_seq
UPDATE bot SET platform_chat_seq = max(platform_chat_seq, :seq) WHERE id = 1;

-- name: put_transition
INSERT INTO transitions (subject, at, event, source, target, reason, report)
VALUES (:subject, :at, :event, :source, :target, :reason, :report);

-- name: rooms_in_flight
SELECT lane FROM outbox WHERE status = 'waiting' AND kind IN ('join_room', 'name_room', 'store_binding')
UNION SELECT actor FROM inbox WHERE status = 'waiting'
    AND kind IN ('invite', 'order_done', 'room_made', 'room_completed', 'bot_removed',
        'bot_returned')
UNION SELECT json_extract(in_hand, '$.made') FROM users
    WHERE in_hand IS NOT NULL AND json_extract(in_hand, '$.made') IS NOT NULL;
