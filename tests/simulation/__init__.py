"""The whole runtime on a seeded scheduler: nothing random but the seed, no threads, no network, no waiting.

The bot, its store (real SQLite) and its `matrix` package run as they are on an event loop whose time jumps
from one thing to the next (`loop`), over a homeserver, a network and agents that are models (`homeserver`,
`network`, `agents`). People talk to it (`users`), everything that can go wrong does (`faults`), the process
is killed between any two commits and requests (`process`), and `checks` says what must hold all the same.

`python -m tests.simulation --seeds 1000` runs many; a violation prints its seed, and the seed is the history.
"""
