-- The repairs of a room that is not bound (contracts C8, C11): how many failed since the last message,
-- whether one is running, whether the failure was reported in the room, and the inbox row of the newest
-- message since then.
ALTER TABLE rooms ADD COLUMN looks     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN looking   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN told      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN heard_seq INTEGER NOT NULL DEFAULT 0;

CREATE INDEX rooms_looking ON rooms (room_id) WHERE looking = 1;

-- The priority of an inbox row (machines/events/priority.py): 0 an event, 1 a command that acts at once, 2 a message or
-- a request. Of the rows that wait already, only `!stop` becomes a command: behind other messages it would be too late.
ALTER TABLE inbox ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;

UPDATE inbox SET priority = 2 WHERE status = 'waiting'
    AND kind IN ('MessageArrived', 'FileArrived', 'MalformedArrived', 'EncryptedArrived',
        'OnboardingAsked', 'NewChatAsked', 'ChatsAsked');
UPDATE inbox SET priority = 1 WHERE status = 'waiting' AND kind = 'MessageArrived'
    AND lower(rtrim(json_extract(payload, '$.body'))) = '!stop';

DROP INDEX inbox_waiting;
CREATE INDEX inbox_waiting ON inbox (actor, priority, seq) WHERE status = 'waiting';

-- The queues that are full: further messages become dead letters until half of the queue is handled (contract D14).
CREATE TABLE overflows (
    actor    TEXT    NOT NULL,
    priority INTEGER NOT NULL,
    since    REAL    NOT NULL,
    PRIMARY KEY (actor, priority)
) STRICT, WITHOUT ROWID;

-- The part of a room's timeline that a sync omitted and that must be read from history (contract D4), between two sync
-- tokens; `was_in`: whether the bot is known to have been in the room at the first of them.
CREATE TABLE gaps (
    room_id TEXT    PRIMARY KEY,
    since   TEXT    NOT NULL,
    before  TEXT    NOT NULL,
    was_in  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The number of members of an entry room besides the bot, joined or invited (O5); NULL: unknown.
ALTER TABLE rooms ADD COLUMN others INTEGER;

-- Finds the bot's own events: a reply to one is addressed to the bot (O5).
CREATE INDEX outbox_by_event ON outbox (event_id) WHERE event_id IS NOT NULL;

-- Key messages are bounded for each sender and in total (D14, Y5); those stored so far have no sender.
DELETE FROM to_device;
ALTER TABLE to_device ADD COLUMN sender TEXT    NOT NULL DEFAULT '';
ALTER TABLE to_device ADD COLUMN type   TEXT    NOT NULL DEFAULT '';
ALTER TABLE to_device ADD COLUMN size   INTEGER NOT NULL DEFAULT 0;

CREATE INDEX to_device_by_sender ON to_device (sender, seq, size);

-- So is the quarantine: for each room or, outside of rooms, for each sender. Repetitions of one sender with the same
-- reason are counted in one row.
ALTER TABLE quarantine ADD COLUMN sender TEXT;
ALTER TABLE quarantine ADD COLUMN times  INTEGER NOT NULL DEFAULT 1;

CREATE INDEX quarantine_by_place ON quarantine (coalesce(room_id, sender, ''), seq);
