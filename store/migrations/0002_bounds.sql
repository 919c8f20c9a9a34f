-- What a room that is not bound keeps of its repairs (contracts C8, C11): how many looks failed since
-- somebody wrote, whether one is under way, whether its people know of the failure, and the inbox row
-- of the newest message that came meanwhile.
ALTER TABLE rooms ADD COLUMN looks     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN looking   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN told      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN heard_seq INTEGER NOT NULL DEFAULT 0;

CREATE INDEX rooms_looking ON rooms (room_id) WHERE looking = 1;

-- How soon an inbox row is taken (machines/priority.py): 0 an event, 1 a command that acts at once, 2 a message or a
-- request. Of what waits already, `!stop` is the one command for which a place in the queue is too late.
ALTER TABLE inbox ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;

UPDATE inbox SET priority = 2 WHERE status = 'waiting'
    AND kind IN ('MessageArrived', 'FileArrived', 'MalformedArrived', 'EncryptedArrived',
        'OnboardingAsked', 'NewChatAsked', 'ChatsAsked');
UPDATE inbox SET priority = 1 WHERE status = 'waiting' AND kind = 'MessageArrived'
    AND lower(rtrim(json_extract(payload, '$.body'))) = '!stop';

DROP INDEX inbox_waiting;
CREATE INDEX inbox_waiting ON inbox (actor, priority, seq) WHERE status = 'waiting';

-- The queues that hold as much as they may: what comes is set aside until they are half empty (contract D14).
CREATE TABLE overflows (
    actor    TEXT    NOT NULL,
    priority INTEGER NOT NULL,
    since    REAL    NOT NULL,
    PRIMARY KEY (actor, priority)
) STRICT, WITHOUT ROWID;

-- What a sync left out of a room and is still to be read from its history (contract D4), between two sync tokens;
-- and whether the bot is known to have been in the room at the first of them.
CREATE TABLE gaps (
    room_id TEXT    PRIMARY KEY,
    since   TEXT    NOT NULL,
    before  TEXT    NOT NULL,
    was_in  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many others than the bot are in an entry room, joined or invited (O5); NULL: not known.
ALTER TABLE rooms ADD COLUMN others INTEGER;

-- Which events are the bot's own: a reply to one is meant for the bot (O5).
CREATE INDEX outbox_by_event ON outbox (event_id) WHERE event_id IS NOT NULL;

-- Key messages are bounded for each sender and in all (D14, Y5); those kept so far name no sender.
DELETE FROM to_device;
ALTER TABLE to_device ADD COLUMN sender TEXT    NOT NULL DEFAULT '';
ALTER TABLE to_device ADD COLUMN type   TEXT    NOT NULL DEFAULT '';
ALTER TABLE to_device ADD COLUMN size   INTEGER NOT NULL DEFAULT 0;

CREATE INDEX to_device_by_sender ON to_device (sender, seq, size);

-- So is what could not be decoded: of a room or, for what is in no room, of a sender. What one sender does again
-- for the same reason is counted in one row.
ALTER TABLE quarantine ADD COLUMN sender TEXT;
ALTER TABLE quarantine ADD COLUMN times  INTEGER NOT NULL DEFAULT 1;

CREATE INDEX quarantine_by_place ON quarantine (coalesce(room_id, sender, ''), seq);
