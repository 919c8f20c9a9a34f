"""Names of the bot's own event type and content keys on the homeserver."""

BINDING_TYPE = "org.lambda.surfaces.room"
"""Room account data: the room's binding (contract R4)."""

NONCE_KEY = "org.lambda.surfaces.nonce"
"""In `m.room.create`: the nonce of the order that created the room."""

ANSWERS_KEY = "org.lambda.surfaces.answers"
"""In a reply: the message that it answers (contract D2)."""

PART_KEY = "org.lambda.surfaces.part"
PARTIAL_KEY = "org.lambda.surfaces.partial"

QUESTION_KEY = "org.lambda.surfaces.question"
"""In the bot's own event: the message whose answer asked the question that this event shows (contract K8)."""
