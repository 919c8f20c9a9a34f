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

-- What a sync left out of a room and is still to be read from its history (contract D4), between two sync tokens.
CREATE TABLE gaps (
    room_id TEXT PRIMARY KEY,
    since   TEXT NOT NULL,
    before  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
