"""The agents' edge, against real WebSockets of the scripted agent server."""
