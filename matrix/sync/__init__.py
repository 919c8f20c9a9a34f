"""Sync responses and room history, decoded into the Matrix events of `machines.events.matrix`.

Start reading at `decoding`: it turns a raw sync response into a `SyncBatch`, room by room (`timeline`) and event by
event (`events`). `full_state` reads the initial sync with the `topology`, and `history` reads gaps. `read_position`
finds unanswered messages when there is no database.
"""
