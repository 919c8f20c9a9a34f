"""The process in which Synapse runs: Synapse's main program, which ends with its parent process.

Run by `sandbox.synapse`: `python -m sandbox.synapse_process --config-path …`.
"""

from synapse.app.homeserver import main

from sandbox.parent_watch import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    main()
