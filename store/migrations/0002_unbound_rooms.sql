-- What a room that is not bound keeps of its repairs (contracts C8, C11): how many looks failed since
-- somebody wrote, whether one is under way, whether its people know of the failure, and the inbox row
-- of the newest message that came meanwhile.
ALTER TABLE rooms ADD COLUMN looks     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN looking   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN told      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN heard_seq INTEGER NOT NULL DEFAULT 0;

CREATE INDEX rooms_looking ON rooms (room_id) WHERE looking = 1;
