-- Events and orders are stored under tags instead of class names: in `kind`, in the payload's `type`, and where a
-- payload contains another value. Finished rows may have an empty payload; a damaged payload stays as it is.
CREATE TABLE tags (class TEXT PRIMARY KEY, tag TEXT NOT NULL) STRICT, WITHOUT ROWID;

INSERT INTO tags (class, tag) VALUES
    ('MessageArrived', 'message'),
    ('FileArrived', 'file'),
    ('MalformedArrived', 'malformed_message'),
    ('EncryptedArrived', 'encrypted_message'),
    ('InviteArrived', 'invite'),
    ('BotRemoved', 'bot_removed'),
    ('BotReturned', 'bot_returned'),
    ('MemberChanged', 'member_changed'),
    ('MembersCounted', 'members_counted'),
    ('QuestionShown', 'question_shown'),
    ('EncryptionEnabled', 'encryption_enabled'),
    ('OrderDone', 'order_done'),
    ('OnboardingAsked', 'onboarding_requested'),
    ('NewChatAsked', 'new_chat_requested'),
    ('ChatsAsked', 'chat_list_requested'),
    ('ChatRecovered', 'chat_recovered'),
    ('QueueOverflowed', 'queue_overflowed'),
    ('MessageDropped', 'message_dropped'),
    ('AnswerReady', 'answer_ready'),
    ('RoomMade', 'room_made'),
    ('TopologyConfirmed', 'room_completed'),
    ('SendMessage', 'send_message'),
    ('RedactMessage', 'redact_message'),
    ('JoinRoom', 'join_room'),
    ('RejectInvite', 'reject_invite'),
    ('LookUpName', 'look_up_name'),
    ('CreateRoom', 'create_room'),
    ('LinkChild', 'link_child'),
    ('EnsureInvited', 'ensure_invited'),
    ('NameRoom', 'name_room'),
    ('StoreBinding', 'store_binding'),
    ('Done', 'done'),
    ('Joined', 'joined'),
    ('NameFound', 'name_found'),
    ('RoomCreated', 'room_created'),
    ('Refused', 'refused');

UPDATE inbox SET payload = json_remove(json_set(payload,
    '$.outcome.type', (SELECT tag FROM tags WHERE class = json_extract(payload, '$.outcome.type'))), '$.order')
WHERE kind = 'OrderDone' AND json_valid(payload);

-- A user's actor sent this event to a room that was complete.
UPDATE inbox SET payload = json_remove(payload, '$.encrypted', '$.store', '$.report', '$.others')
WHERE kind = 'TopologyConfirmed' AND json_valid(payload);

UPDATE inbox SET kind = tag, payload = CASE WHEN json_valid(payload)
    THEN json_set(payload, '$.type', tag) ELSE payload END
FROM tags WHERE class = kind;

UPDATE outbox SET kind = tag, payload = CASE WHEN json_valid(payload)
    THEN json_set(payload, '$.type', tag) ELSE payload END
FROM tags WHERE class = kind;

DROP TABLE tags;

-- Nothing reads key messages: they are no longer stored.
DROP TABLE to_device;
