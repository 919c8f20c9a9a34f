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
