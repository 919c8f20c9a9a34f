"""Changing and reading single rooms: orders are performed here, and current room state is read here.

Start reading at `perform`, which carries out one order, or at `observe`, which reads rooms for reconciliation.
"""
