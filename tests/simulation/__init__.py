"""The whole runtime on a seeded scheduler, without threads, network and waiting; only the seed is random.

The bot, its store (real SQLite) and its `matrix` package run as they are on an event loop whose time jumps
from one callback to the next (`loop`), with a simulated homeserver, network and agents (`homeserver`,
`network`, `agents`). Users write to it (`users`), requests fail (`faults`), the process is killed between any two
commits and requests (`process`), and `step_checks` and `room_checks` check what must hold.

`scenario` runs a history from a script instead of from a seed. `planted` puts a bug into the bot:
the simulation must find each of `bugs` within a few seeds, and a scenario each of `scenario_bugs`.

`python -m tests.simulation --seeds 1000` runs many histories; a violation prints its seed, which repeats the history.
"""
