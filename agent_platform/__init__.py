"""The only place that knows the agents: their WebSocket, the built-in mock, and the agents file.

Behind one port (`AgentPlatform` of the runtime) stand `RealPlatform`, which asks the agents of the
`Registry` over the network, and `MockPlatform`, which answers in process. A request yields frames
(`machines.talk`) up to one terminal frame, whatever the agent does. When to ask again, and what to
tell the user, is decided elsewhere.
"""
