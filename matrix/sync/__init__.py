"""Reading events: sync responses and room history, decoded into the Matrix events that the machines take.

Start reading at `decoding`: it turns a raw sync response into a `SyncBatch`, event by event (`events`).
"""
