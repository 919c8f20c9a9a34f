"""The composition root: the commands of the shell and the configuration; the only package that may import all others.

Start reading at `app`, the command line. `settings` reads the environment, `run` is the daemon, `inspect_room`, `reset`
and `demo` are the other commands; files with the same prefix belong to them.
"""
