-- The bot's own row: its state (contract L1), the sync token (D3), and the one sequence for all
-- users. platform_chat_seq is the highest platform_chat_id ever given out (A5).
CREATE TABLE bot (
    id                INTEGER PRIMARY KEY CHECK (id = 1),
    state             TEXT    NOT NULL,
    since             REAL    NOT NULL,
    reason            TEXT    NOT NULL,
    user_id           TEXT,
    device_id         TEXT,
    sync_token        TEXT,
    platform_chat_seq INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO bot (id, state, since, reason) VALUES (1, 'stopped', 0, 'never started');

-- One row for each room (contract R1, R3). Times are seconds since the epoch.
CREATE TABLE rooms (
    room_id          TEXT    PRIMARY KEY,
    state            TEXT    NOT NULL,
    since            REAL    NOT NULL,
    reason           TEXT    NOT NULL,
    room_type        TEXT,
    matrix_user_id   TEXT,
    chat_id          TEXT,
    platform_chat_id TEXT,
    agent_id         TEXT,
    space_id         TEXT,
    archived         INTEGER NOT NULL DEFAULT 0,
    name             TEXT    NOT NULL DEFAULT '',
    encrypted        INTEGER NOT NULL DEFAULT 0,
    onboards         TEXT,
    owner_present    INTEGER NOT NULL DEFAULT 1,
    repaired_at      REAL    NOT NULL DEFAULT 0,
    reminded         INTEGER NOT NULL DEFAULT 0,
    memory           TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX rooms_by_owner ON rooms (matrix_user_id) WHERE room_type = 'chat';
CREATE UNIQUE INDEX one_room_a_context ON rooms (platform_chat_id)
    WHERE platform_chat_id IS NOT NULL;

-- One row for each user: their Space, their counters, and the room that is being created for them (O3, K2).
CREATE TABLE users (
    user_id         TEXT    PRIMARY KEY,
    state           TEXT    NOT NULL,
    display_name    TEXT    NOT NULL DEFAULT '',
    space_id        TEXT,
    next_chat_index INTEGER NOT NULL DEFAULT 1,
    in_hand         TEXT
) STRICT, WITHOUT ROWID;

-- The preferences of a user, for all of their chats (K4, K5); only those that differ from the defaults.
CREATE TABLE preferences (
    user_id TEXT PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Matrix events and internal events, in order of arrival. A finished row stays, without its payload,
-- so that the same event is never handled twice (D1).
CREATE TABLE inbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    actor       TEXT NOT NULL,
    kind        TEXT NOT NULL,
    event_id    TEXT UNIQUE,
    payload     TEXT NOT NULL,
    status      TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'done', 'set_aside')),
    reason      TEXT NOT NULL DEFAULT '',
    received_at REAL NOT NULL
) STRICT;

CREATE INDEX inbox_waiting ON inbox (actor, seq) WHERE status = 'waiting';
CREATE INDEX inbox_set_aside ON inbox (actor, seq) WHERE status = 'set_aside';

-- The current turn, at most one for each room; of a finished turn only its reply remains, in the outbox.
CREATE TABLE turns (
    room_id TEXT PRIMARY KEY,
    turn_id TEXT NOT NULL UNIQUE,
    state   TEXT NOT NULL,
    tries   INTEGER NOT NULL,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Orders to the homeserver. The orders of a lane are sent strictly in order; a sent message keeps its
-- event id as long as an edit may follow.
CREATE TABLE outbox (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    txn_id     TEXT NOT NULL UNIQUE,
    lane       TEXT NOT NULL,
    actor      TEXT NOT NULL,
    kind       TEXT NOT NULL,
    payload    TEXT NOT NULL,
    reports    INTEGER NOT NULL,
    edits      TEXT,
    not_before REAL NOT NULL,
    created_at REAL NOT NULL,
    device_id  TEXT,
    status     TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'sent', 'refused')),
    event_id   TEXT,
    reason     TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX outbox_waiting ON outbox (lane, seq) WHERE status = 'waiting';
CREATE INDEX outbox_edits ON outbox (edits) WHERE edits IS NOT NULL AND status = 'waiting';

-- Every transition of the bot ('bot') and of each room (contract R2).
CREATE TABLE transitions (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL,
    at      REAL NOT NULL,
    event   TEXT NOT NULL,
    source  TEXT NOT NULL,
    target  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    report  TEXT
) STRICT;

CREATE INDEX transitions_by_subject ON transitions (subject, seq);

-- Events that could not be decoded, with the reason (D9), and raw key messages for later encryption.
CREATE TABLE quarantine (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    source   TEXT NOT NULL,
    room_id  TEXT,
    event_id TEXT,
    reason   TEXT NOT NULL,
    at       REAL NOT NULL
) STRICT;

CREATE TABLE to_device (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    payload     TEXT NOT NULL,
    received_at REAL NOT NULL
) STRICT;
