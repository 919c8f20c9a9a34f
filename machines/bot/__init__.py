"""The bot's own state machine: login, initial sync, reconcile, live. Start at `machine`."""
