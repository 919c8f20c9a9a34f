"""What only tests, the simulation, the soak test and benchmarks use.

- `agent_server`, `agent_script`: an agent that follows a script, over real WebSockets
- `proxy`: an HTTP proxy that records requests and fails where a test says so
- `memory_homeserver`: a homeserver in memory

What the demo uses too is in the package `sandbox`, which ships in the wheel.
"""
