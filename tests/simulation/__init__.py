"""The whole runtime on a seeded scheduler: nothing is random but the seed; no threads, no network, no waiting.

The bot, its store (real SQLite) and its `matrix` package run as they are on an event loop whose time jumps
from one callback to the next (`loop`), over a homeserver, a network and agents that are models (`homeserver`,
`network`, `agents`). Users talk to it (`users`), requests fail (`faults`), the process
is killed between any two commits and requests (`process`), and `checks` says what must hold all the same.

`scenario` runs a history that is written down step by step instead of drawn. `planted` puts a bug into the bot:
`bugs` are those that the simulation must find within a few seeds, `scenario_bugs` those that a scenario shows.

`python -m tests.simulation --seeds 1000` runs many; a violation prints its seed, and the seed is the history.
"""
