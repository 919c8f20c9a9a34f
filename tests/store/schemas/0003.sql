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
CREATE TABLE gaps (
    room_id TEXT    PRIMARY KEY,
    since   TEXT    NOT NULL,
    before  TEXT    NOT NULL,
    was_in  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "gaps" VALUES('!gap','s0','s1',1);
CREATE TABLE inbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    actor       TEXT NOT NULL,
    kind        TEXT NOT NULL,
    event_id    TEXT UNIQUE,
    payload     TEXT NOT NULL,
    status      TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'done', 'set_aside')),
    reason      TEXT NOT NULL DEFAULT '',
    received_at REAL NOT NULL
, priority INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "inbox" VALUES(1,'!chat','message','$1','{"type":"message","room_id":"!chat","event_id":"$1","sender":"@anna:example.org","body":"text 1","sent_at_ms":1,"thread_root":null,"begun":[],"replies_to":null,"addressed":false}','waiting','',1.0,2);
INSERT INTO "inbox" VALUES(2,'!chat','message','$2','{"type":"message","room_id":"!chat","event_id":"$2","sender":"@anna:example.org","body":"text 2","sent_at_ms":2,"thread_root":null,"begun":[],"replies_to":null,"addressed":false}','waiting','',1.0,2);
INSERT INTO "inbox" VALUES(3,'!chat','message',NULL,'{"type":"message","room_id":"!chat","event_id":"$3","sender":"@anna:example.org","body":"text 3","sent_at_ms":3,"thread_root":null,"begun":[],"replies_to":null,"addressed":false}','waiting','',3.0,2);
INSERT INTO "inbox" VALUES(4,'!journalled','message','$j1','{"type":"message","room_id":"!journalled","event_id":"$j1","sender":"@bert:example.org","body":"a \"text\"\n🗓","sent_at_ms":17,"thread_root":"$root","begun":[{"event_id":"$part","edits":2},{"event_id":"$other part","edits":3}],"replies_to":"$r","addressed":true}','waiting','',4.0,2);
INSERT INTO "inbox" VALUES(5,'!journalled','file','$j2','{"type":"file","room_id":"!journalled","event_id":"$j2","sender":"@bert:example.org","name":"plan.pdf","sent_at_ms":18,"thread_root":"$root","replies_to":"$r","addressed":true}','waiting','',4.0,2);
INSERT INTO "inbox" VALUES(6,'!journalled','malformed_message','$j3','{"type":"malformed_message","room_id":"!journalled","event_id":"$j3","sender":"@bert:example.org","thread_root":"$root"}','waiting','',4.0,2);
INSERT INTO "inbox" VALUES(7,'!journalled','encrypted_message','$j4','{"type":"encrypted_message","room_id":"!journalled","event_id":"$j4","sender":"@bert:example.org","content":{"type":"m.x","a":[1,null,{"b":0.5}]},"sent_at_ms":19}','waiting','',4.0,2);
INSERT INTO "inbox" VALUES(8,'!journalled','invite',NULL,'{"type":"invite","room_id":"!journalled","sender":"@bert:example.org","encrypted":true}','waiting','',4.0,0);
INSERT INTO "inbox" VALUES(9,'!journalled','bot_removed','$j5','{"type":"bot_removed","room_id":"!journalled","event_id":"$j5","sender":"@bert:example.org","reason":"kicked"}','waiting','',4.0,0);
INSERT INTO "inbox" VALUES(10,'!journalled','bot_returned','$j6','{"type":"bot_returned","room_id":"!journalled","event_id":"$j6"}','waiting','',4.0,0);
INSERT INTO "inbox" VALUES(11,'!journalled','member_changed','$j7','{"type":"member_changed","room_id":"!journalled","event_id":"$j7","user_id":"@bert:example.org","membership":"knock"}','waiting','',4.0,0);
INSERT INTO "inbox" VALUES(12,'!journalled','members_counted',NULL,'{"type":"members_counted","room_id":"!journalled","others":3}','waiting','',4.0,0);
INSERT INTO "inbox" VALUES(13,'!journalled','question_shown','$j8','{"type":"question_shown","room_id":"!journalled","event_id":"$j8","question":"$question"}','waiting','',4.0,0);
INSERT INTO "inbox" VALUES(14,'!journalled','encryption_enabled','$j9','{"type":"encryption_enabled","room_id":"!journalled","event_id":"$j9"}','waiting','',4.0,0);
INSERT INTO "inbox" VALUES(15,'!journalled','order_done',NULL,'{"type":"order_done","txn_id":"t1","outcome":{"type":"joined","room_id":"!journalled","encrypted":true},"answers":"$j1"}','waiting','',5.0,0);
INSERT INTO "inbox" VALUES(16,'!journalled','order_done',NULL,'{"type":"order_done","txn_id":"t2","outcome":{"type":"refused","kind":"too_large","errcode":"M_TOO_LARGE","reason":"no"},"answers":"$a"}','waiting','',5.0,0);
INSERT INTO "inbox" VALUES(17,'!journalled','message_dropped',NULL,'{"type":"message_dropped","sender":"@bert:example.org"}','waiting','',5.0,0);
INSERT INTO "inbox" VALUES(18,'!journalled','queue_overflowed',NULL,'{"type":"queue_overflowed","waiting":10,"first":"$first"}','waiting','',5.0,0);
INSERT INTO "inbox" VALUES(19,'!journalled','answer_ready',NULL,'{"type":"answer_ready","asked":{"room_id":"!journalled","event_id":"$asked1","thread_root":"$root","begun":[{"event_id":"$part","edits":2},{"event_id":"$other part","edits":3}]},"text":"two chats","in_company":"not shown here"}','waiting','',5.0,0);
INSERT INTO "inbox" VALUES(20,'!journalled','room_made',NULL,'{"type":"room_made","binding":{"room_type":"chat","matrix_user_id":"@bert:example.org","chat_id":"C7","platform_chat_id":"77","agent_id":"writer","space_id":"!space","archived":true},"name":"Plans"}','waiting','',5.0,0);
INSERT INTO "inbox" VALUES(21,'!journalled','room_completed',NULL,'{"type":"room_completed","binding":{"room_type":"chat","matrix_user_id":"@bert:example.org","chat_id":"C7","platform_chat_id":"77","agent_id":"writer","space_id":"!space","archived":true},"name":"Plans"}','waiting','',5.0,0);
INSERT INTO "inbox" VALUES(22,'@waiting:example.org','order_done',NULL,'{"type":"order_done","txn_id":"t3","outcome":{"type":"name_found","name":"Bert ✓"},"answers":"$b"}','waiting','',5.0,0);
INSERT INTO "inbox" VALUES(23,'@waiting:example.org','order_done',NULL,'{"type":"order_done","txn_id":"t4","outcome":{"type":"room_created","room_id":"!space"},"answers":"$b"}','waiting','',5.0,0);
INSERT INTO "inbox" VALUES(24,'@waiting:example.org','order_done',NULL,'{"type":"order_done","txn_id":"t5","outcome":{"type":"done","event_id":"$linked"},"answers":"$b"}','waiting','',5.0,0);
INSERT INTO "inbox" VALUES(25,'@waiting:example.org','onboarding_requested',NULL,'{"type":"onboarding_requested","asked":{"room_id":"!journalled","event_id":"$asked2","thread_root":"$root","begun":[{"event_id":"$part","edits":2},{"event_id":"$other part","edits":3}]}}','waiting','',5.0,2);
INSERT INTO "inbox" VALUES(26,'@waiting:example.org','new_chat_requested',NULL,'{"type":"new_chat_requested","asked":{"room_id":"!journalled","event_id":"$asked3","thread_root":"$root","begun":[{"event_id":"$part","edits":2},{"event_id":"$other part","edits":3}]},"name":"Plans"}','waiting','',5.0,2);
INSERT INTO "inbox" VALUES(27,'@waiting:example.org','chat_list_requested',NULL,'{"type":"chat_list_requested","asked":{"room_id":"!journalled","event_id":"$asked4","thread_root":"$root","begun":[{"event_id":"$part","edits":2},{"event_id":"$other part","edits":3}]}}','waiting','',5.0,2);
INSERT INTO "inbox" VALUES(28,'@waiting:example.org','chat_recovered',NULL,'{"type":"chat_recovered","space_id":"!space","number":7}','waiting','',5.0,0);
INSERT INTO "inbox" VALUES(29,'!dealt_with','message','$4','','done','',6.0,2);
INSERT INTO "inbox" VALUES(30,'!dealt_with','message','$5','{"type":"message","room_id":"!dealt_with","event_id":"$5","sender":"@anna:example.org","body":"text 5","sent_at_ms":5,"thread_root":null,"begun":[],"replies_to":null,"addressed":false}','set_aside','no key',6.0,2);
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
INSERT INTO "outbox" VALUES(1,'a','!chat','!chat','send_message','{"type":"send_message","room_id":"!chat","body":"body of a","notice":false,"answers":null,"part":null,"partial":false,"thread_root":null,"edits":null,"edits_event_id":null,"droppable":false,"shows_question":null}',0,NULL,0.0,100.0,NULL,'waiting',NULL,'');
INSERT INTO "outbox" VALUES(2,'j0','!journalled','!journalled','send_message','{"type":"send_message","room_id":"!journalled","body":"# a text 🗓","notice":true,"answers":"$j1","part":2,"partial":true,"thread_root":"$root","edits":"t0","edits_event_id":"$edited","droppable":true,"shows_question":"$question"}',0,'t0',0.0,100.0,NULL,'waiting',NULL,'');
INSERT INTO "outbox" VALUES(3,'j1','!journalled','!journalled','redact_message','{"type":"redact_message","room_id":"!journalled","redacts":"t0","redacts_event_id":"$edited"}',0,NULL,0.0,100.0,NULL,'waiting',NULL,'');
INSERT INTO "outbox" VALUES(4,'j2','!journalled','!journalled','join_room','{"type":"join_room","room_id":"!journalled"}',0,NULL,0.0,100.0,NULL,'waiting',NULL,'');
INSERT INTO "outbox" VALUES(5,'j3','!journalled','!journalled','reject_invite','{"type":"reject_invite","room_id":"!journalled"}',0,NULL,0.0,100.0,NULL,'waiting',NULL,'');
INSERT INTO "outbox" VALUES(6,'j4','!journalled','!journalled','look_up_name','{"type":"look_up_name","user_id":"@bert:example.org"}',0,NULL,0.0,100.0,NULL,'waiting',NULL,'');
INSERT INTO "outbox" VALUES(7,'j5','!journalled','!journalled','create_room','{"type":"create_room","nonce":"nonce","name":"Plans","invite":"@bert:example.org","space":true,"parent":"!space","repeated":true}',0,NULL,0.0,100.0,NULL,'waiting',NULL,'');
INSERT INTO "outbox" VALUES(8,'j6','!journalled','!journalled','link_child','{"type":"link_child","space_id":"!space","room_id":"!journalled"}',0,NULL,0.0,100.0,NULL,'waiting',NULL,'');
INSERT INTO "outbox" VALUES(9,'j7','!journalled','!journalled','ensure_invited','{"type":"ensure_invited","room_id":"!journalled","user_id":"@bert:example.org"}',0,NULL,0.0,100.0,NULL,'waiting',NULL,'');
INSERT INTO "outbox" VALUES(10,'j8','!journalled','!journalled','name_room','{"type":"name_room","room_id":"!journalled","name":"Plans"}',0,NULL,0.0,100.0,NULL,'waiting',NULL,'');
INSERT INTO "outbox" VALUES(11,'j9','!journalled','!journalled','store_binding','{"type":"store_binding","room_id":"!journalled","content":{"chat_id":"C7","platform_chat_id":"77","agent_id":"writer","matrix_user_id":"@bert:example.org","space_id":"!space","archived":true,"room_type":"chat"}}',0,NULL,0.0,100.0,NULL,'waiting',NULL,'');
INSERT INTO "outbox" VALUES(12,'sent','!dealt_with','!dealt_with','send_message','',0,NULL,0.0,100.0,NULL,'sent','$sent','');
INSERT INTO "outbox" VALUES(13,'refused','!dealt_with','!dealt_with','send_message','{"type":"send_message","room_id":"!dealt_with","body":"body of refused","notice":false,"answers":null,"part":null,"partial":false,"thread_root":null,"edits":null,"edits_event_id":null,"droppable":false,"shows_question":null}',0,NULL,0.0,100.0,NULL,'refused',NULL,'too large');
CREATE TABLE overflows (
    actor    TEXT    NOT NULL,
    priority INTEGER NOT NULL,
    since    REAL    NOT NULL,
    PRIMARY KEY (actor, priority)
) STRICT, WITHOUT ROWID;
CREATE TABLE preferences (
    user_id TEXT PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "preferences" VALUES('@anna:example.org','{"agent_id":"writer","soul":"brief","skills":{"files":false},"safety":{"email-send":false},"language":""}');
CREATE TABLE quarantine (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    source   TEXT NOT NULL,
    room_id  TEXT,
    event_id TEXT,
    reason   TEXT NOT NULL,
    at       REAL NOT NULL
, sender TEXT, times  INTEGER NOT NULL DEFAULT 1) STRICT;
INSERT INTO "quarantine" VALUES(1,'timeline','!journalled','$broken','the event has no type',4.0,NULL,1);
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
, looks     INTEGER NOT NULL DEFAULT 0, looking   INTEGER NOT NULL DEFAULT 0, told      INTEGER NOT NULL DEFAULT 0, heard_seq INTEGER NOT NULL DEFAULT 0, others INTEGER) STRICT, WITHOUT ROWID;
INSERT INTO "rooms" VALUES('!chat','bound',12.5,'linked into its Space','chat','@anna:example.org','C1','7','writer','!space',1,'Plans 🗓',1,'@anna:example.org',0,99.25,1,'{"context_name":"lunch","tokens":12,"saves":["one","two"],"question":{"id":"q","title":"t","description":"d","asked_at":3.5,"asked_in":"$asked","shown":7},"picking":true}',3,1,1,12,4);
INSERT INTO "rooms" VALUES('!entry','failed',1.0,'nothing','entry','@anna:example.org',NULL,NULL,NULL,NULL,0,'',0,NULL,1,0.0,0,NULL,0,0,0,0,NULL);
INSERT INTO "rooms" VALUES('!new','unregistered',0.0,'not seen yet',NULL,NULL,NULL,NULL,NULL,NULL,0,'',0,NULL,1,0.0,0,NULL,0,0,0,0,NULL);
INSERT INTO "rooms" VALUES('!space','bound',1.0,'made','space','@anna:example.org',NULL,NULL,NULL,NULL,0,'',0,NULL,1,0.0,0,NULL,0,0,0,0,NULL);
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
INSERT INTO "turns" VALUES('!chat','$question','waiting_to_retry',3,'{"turn_id":"$question","request":{"agent_id":"writer","platform_chat_id":"7","message_id":"$question","text":"what?","attachments":["incoming/a.txt"],"settings":{"soul":"brief","skills":{"files":false}},"confirmation":{"id":"q","accepted":true},"context":{"action":"save","name":"lunch"}},"reply":{"room_id":"!chat","answers":"$question","thread_root":"$root","parts":[{"txn_id":"$question.1","edits":3,"shown":12345,"partial":false,"event_id":"$part"},{"txn_id":"$question.2","edits":0,"shown":0,"partial":true,"event_id":null}],"shown_at":88.5,"notice":true},"user_id":"@anna:example.org","state":"waiting_to_retry","tries":3,"begun_at":1.5,"gives_up_at":121.5,"ends_at":601.5,"retry_at":90.25,"fault":"the agent was silent","trouble":"silent","shown":"half","shown_behind":{"parts":1,"offset":40,"opening":"```py"}}');
CREATE TABLE users (
    user_id         TEXT    PRIMARY KEY,
    state           TEXT    NOT NULL,
    display_name    TEXT    NOT NULL DEFAULT '',
    space_id        TEXT,
    next_chat_index INTEGER NOT NULL DEFAULT 1,
    in_hand         TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO "users" VALUES('@anna:example.org','resting','',NULL,1,NULL);
INSERT INTO "users" VALUES('@bert:example.org','linking','Bert ✓','!his',9,'{"asked":{"room_id":"!entry","event_id":"$asked","thread_root":"$root","begun":[{"event_id":"$p","edits":2}]},"chat":{"chat_id":"C8","platform_chat_id":"70","agent_id":"writer","name":"Chat 8"},"made":"!made"}');
CREATE INDEX rooms_by_owner ON rooms (matrix_user_id) WHERE room_type = 'chat';
CREATE UNIQUE INDEX one_room_a_context ON rooms (platform_chat_id)
    WHERE platform_chat_id IS NOT NULL;
CREATE INDEX inbox_set_aside ON inbox (actor, seq) WHERE status = 'set_aside';
CREATE INDEX outbox_waiting ON outbox (lane, seq) WHERE status = 'waiting';
CREATE INDEX outbox_edits ON outbox (edits) WHERE edits IS NOT NULL AND status = 'waiting';
CREATE INDEX transitions_by_subject ON transitions (subject, seq);
CREATE INDEX rooms_looking ON rooms (room_id) WHERE looking = 1;
CREATE INDEX inbox_waiting ON inbox (actor, priority, seq) WHERE status = 'waiting';
CREATE INDEX outbox_by_event ON outbox (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX quarantine_by_place ON quarantine (coalesce(room_id, sender, ''), seq);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('inbox',30);
INSERT INTO "sqlite_sequence" VALUES('outbox',13);
INSERT INTO "sqlite_sequence" VALUES('quarantine',1);
COMMIT;
PRAGMA user_version = 3;
