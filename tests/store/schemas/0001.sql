BEGIN TRANSACTION;
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
INSERT INTO "bot" VALUES(1,'stopped',0.0,'never started',NULL,NULL,'s1',0);
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
INSERT INTO "inbox" VALUES(1,'!chat','MessageArrived','$1','{"room_id":"!chat","event_id":"$1","sender":"@anna:example.org","body":"text 1","sent_at_ms":1,"thread_root":null,"begun":[]}','waiting','',1.0);
INSERT INTO "inbox" VALUES(2,'!chat','MessageArrived','$2','{"room_id":"!chat","event_id":"$2","sender":"@anna:example.org","body":"text 2","sent_at_ms":2,"thread_root":null,"begun":[]}','waiting','',1.0);
INSERT INTO "inbox" VALUES(3,'!chat','MessageArrived',NULL,'{"room_id":"!chat","event_id":"$3","sender":"@anna:example.org","body":"text 3","sent_at_ms":3,"thread_root":null,"begun":[]}','waiting','',3.0);
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
INSERT INTO "outbox" VALUES(1,'a','!chat','!chat','SendMessage','{"room_id":"!chat","body":"body of a","notice":false,"answers":null,"part":null,"partial":false,"thread_root":null,"edits":null,"edits_event_id":null,"droppable":false}',0,NULL,0.0,100.0,NULL,'waiting',NULL,'');
CREATE TABLE preferences (
    user_id TEXT PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    source   TEXT NOT NULL,
    room_id  TEXT,
    event_id TEXT,
    reason   TEXT NOT NULL,
    at       REAL NOT NULL
) STRICT;
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
INSERT INTO "rooms" VALUES('!chat','bound',12.5,'linked into its Space','chat','@anna:example.org','C1','7','writer','!space',1,'Plans 🗓',1,'@anna:example.org',0,99.25,0,'{"context_name":"lunch","tokens":12,"saves":["one","two"],"question":{"id":"q","title":"t","description":"d","asked_at":3.5},"picking":true}');
INSERT INTO "rooms" VALUES('!entry','failed',1.0,'nothing','entry','@anna:example.org',NULL,NULL,NULL,NULL,0,'',0,NULL,1,0.0,0,NULL);
INSERT INTO "rooms" VALUES('!new','unregistered',0.0,'not seen yet',NULL,NULL,NULL,NULL,NULL,NULL,0,'',0,NULL,1,0.0,0,NULL);
INSERT INTO "rooms" VALUES('!space','bound',1.0,'made','space','@anna:example.org',NULL,NULL,NULL,NULL,0,'',0,NULL,1,0.0,0,NULL);
CREATE TABLE to_device (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    payload     TEXT NOT NULL,
    received_at REAL NOT NULL
) STRICT;
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
CREATE TABLE turns (
    room_id TEXT PRIMARY KEY,
    turn_id TEXT NOT NULL UNIQUE,
    state   TEXT NOT NULL,
    tries   INTEGER NOT NULL,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "turns" VALUES('!chat','$question','waiting_to_retry',3,'{"turn_id":"$question","request":{"agent_id":"writer","platform_chat_id":"7","message_id":"$question","text":"what?","attachments":["incoming/a.txt"],"settings":{"soul":"brief","skills":{"files":false}},"confirmation":{"id":"q","accepted":true},"context":{"action":"save","name":"lunch"}},"reply":{"room_id":"!chat","answers":"$question","thread_root":"$root","parts":[{"txn_id":"$question.1","edits":3,"shown":12345,"partial":false,"event_id":null},{"txn_id":"$question.2","edits":0,"shown":0,"partial":true,"event_id":null}],"shown_at":88.5,"notice":false},"state":"waiting_to_retry","tries":3,"begun_at":1.5,"gives_up_at":121.5,"retry_at":90.25,"fault":"silent","trouble":"","shown":"","draft":"","status":"","first_text_at":0.0}');
CREATE TABLE users (
    user_id         TEXT    PRIMARY KEY,
    state           TEXT    NOT NULL,
    display_name    TEXT    NOT NULL DEFAULT '',
    space_id        TEXT,
    next_chat_index INTEGER NOT NULL DEFAULT 1,
    in_hand         TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO "users" VALUES('@anna:example.org','resting','',NULL,1,NULL);
INSERT INTO "users" VALUES('@bert:example.org','linking','Bert ✓','!his',9,'{"asked":{"room_id":"!entry","event_id":"$asked","thread_root":"$root"},"chat":{"chat_id":"C8","platform_chat_id":"70","agent_id":"writer","name":"Chat 8"},"made":"!made"}');
CREATE INDEX rooms_by_owner ON rooms (matrix_user_id) WHERE room_type = 'chat';
CREATE UNIQUE INDEX one_room_a_context ON rooms (platform_chat_id)
    WHERE platform_chat_id IS NOT NULL;
CREATE INDEX inbox_waiting ON inbox (actor, seq) WHERE status = 'waiting';
CREATE INDEX inbox_set_aside ON inbox (actor, seq) WHERE status = 'set_aside';
CREATE INDEX outbox_waiting ON outbox (lane, seq) WHERE status = 'waiting';
CREATE INDEX outbox_edits ON outbox (edits) WHERE edits IS NOT NULL AND status = 'waiting';
CREATE INDEX transitions_by_subject ON transitions (subject, seq);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('inbox',3);
INSERT INTO "sqlite_sequence" VALUES('outbox',1);
COMMIT;
PRAGMA user_version = 1;
