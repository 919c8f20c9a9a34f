"""What happens next: pure decisions, and the words in which the rest of the program speaks.

Nothing in this package awaits, reads a clock, draws a random number, logs or does I/O. A machine takes
its state and one event and returns its new state and the effects to perform; everything it needs to
know is in the arguments. The value types that cross the borders of the program live here as well, so
that the edges (`matrix`, `agent_platform`) and the runtime (`actors`) share words without importing
each other: `ids`, `facts` (what the homeserver told us), `orders` (what it shall do), `talk` (what an
agent is asked and says), `errors` (what can go wrong at a border).
"""
