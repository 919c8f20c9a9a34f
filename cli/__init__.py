"""The composition root: the commands of the shell, the configuration, and the only place that joins the packages.

Start at `app`, the command line. `settings` reads the environment, `run` is the daemon, `inspect_room`, `reset` and
`demo` are the other commands; files with the same first word belong to them.
"""
