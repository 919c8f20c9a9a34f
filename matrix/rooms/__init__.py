"""Creates, writes to, observes and leaves rooms.

Start reading at `perform`, which carries out one order (`create`, `initial_state`, `render`), or at `observe`, which
reads rooms for reconciliation (`current_state`, `confirm`). `leave` and `snapshot` are for the commands of `cli`.
"""
