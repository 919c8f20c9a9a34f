"""The keys and types of the bot's own content in Matrix events and account data (contracts D2, R4)."""

ANSWERS = "org.lambda.surfaces.answers"
PART = "org.lambda.surfaces.part"
PARTIAL = "org.lambda.surfaces.partial"
NONCE = "org.lambda.surfaces.nonce"
BINDING = "org.lambda.surfaces.room"
