"""The state machine of the bot: login, initial sync, reconcile, live. Start at `machine`."""
