"""Everything around the daemon fails: the homeserver, the agent, what they send, how much of it, and the disk."""
