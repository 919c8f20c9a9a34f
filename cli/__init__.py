"""The composition root: configuration, the commands of the shell, and the only place that joins the others.

`app` is the command line, `settings` the environment, `run` the daemon, `demo` the story of `make demo`.
"""
