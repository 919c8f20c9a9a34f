"""Benchmarks of the program. Each figure has a floor or another comparison from the same run.

`python -m tests.bench` (`make bench`) runs all of them in under five minutes; a name runs one (`make bench
ARGS=drain`). A busy machine or a slow disk changes all figures. So each one is shown with the figure of the
bare work, or of another way of doing it, on the same machine in the same minute.

- `figures`, `table`: a measured figure, its comparisons and its goal, and the table of them
- `machines`, `journal`, `idle`, `messages`: parts of the runtime, in this process or a child process
- `drain`, `latency`, `flood`, `start`: the daemon as a process, on a homeserver in memory
- `instant_daemon`, `nio_echo`: the daemon with an instant agent, and the bot for comparison
"""
