-- The last failed turns of each room, at most ten, with their faults (contract I6). No row holds text of a message.
CREATE TABLE failed_turns (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    room_id  TEXT NOT NULL,
    turn_id  TEXT NOT NULL,
    at       REAL NOT NULL,
    agent_id TEXT NOT NULL,
    kind     TEXT NOT NULL,
    reason   TEXT NOT NULL
) STRICT;

CREATE INDEX failed_turns_by_room ON failed_turns (room_id, seq);
