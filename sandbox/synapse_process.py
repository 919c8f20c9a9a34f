"""The process in which Synapse runs: its ordinary main program, and an end tied to its parent's.

Run by `sandbox.synapse`: `python -m sandbox.synapse_process --config-path …`.
"""

from synapse.app.homeserver import main

from sandbox.parent_watch import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    main()
