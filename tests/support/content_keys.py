"""Keys and types of the bot's own content in events and account data (contracts D2, R4).

`ANSWERS` is in `sandbox.room_event`, because the demo needs it too.
"""

PART = "org.lambda.surfaces.part"
PARTIAL = "org.lambda.surfaces.partial"
NONCE = "org.lambda.surfaces.nonce"
BINDING = "org.lambda.surfaces.room"
