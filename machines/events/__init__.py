"""The vocabulary of the program: the values that its packages exchange.

- `matrix`: Matrix events, as a sync reports them.
- `internal`: events inside the bot, such as the outcome of an order, a request of another actor, or a timer.
- `agent`: requests to an agent, and the frames of its answer.
- `effects`: the actions that a step returns, and that the runtime performs after it.
- `orders`: requests to the homeserver, and their outcomes.
- `priority`: which inbox rows are processed before others.

An actor processes one event in one step, which returns its new state and effects. Start at `effects`.
"""
