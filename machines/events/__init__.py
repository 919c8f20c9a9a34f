"""The values that cross the borders between packages.

`matrix` has what the homeserver reported, `internal` what happened inside the bot, `agent` the agent protocol,
`effects` what a step orders, and `orders` what the homeserver shall do.
"""
