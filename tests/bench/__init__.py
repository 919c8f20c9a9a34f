"""What the program costs, each figure beside a floor or a comparison measured in the same run.

`python -m tests.bench` (`make bench`) runs all of them in under five minutes; a name runs one (`make bench
ARGS=drain`). A figure alone says little: the machine may be busy, the disk slow. So every one stands beside
what the same machine, in the same minute, needs for the bare work or for another way of doing it.

- `figures`, `table`: a measured figure, its comparisons and its goal; how they are shown
- `machines`, `journal`, `idle`, `messages`: parts of the runtime, in this process or a child of it
- `drain`, `latency`, `flood`, `start`: the daemon as a process, on a homeserver in memory
- `instant_daemon`, `nio_echo`: the daemon with an agent that needs no time, and the bot it is compared with
"""
