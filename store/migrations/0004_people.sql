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

-- Whether the owner was ever in the room: 'join', 'invite' (not accepted yet), 'leave', or 'declined'. The column
-- owner_present stays for a program of the version before.
ALTER TABLE rooms ADD COLUMN owner_membership TEXT NOT NULL DEFAULT 'join';

UPDATE rooms SET owner_membership = 'leave' WHERE owner_present = 0;
