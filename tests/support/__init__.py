"""Parts that only tests, the simulation, the soak test and benchmarks use.

- `agent_server`, `agent_script`: an agent that follows a script, over real WebSockets
- `proxy`: an HTTP proxy that records requests and injects faults
- `memory_homeserver`: a homeserver in memory

Parts that the demo uses too are in the package `sandbox`, which ships in the wheel.
"""
