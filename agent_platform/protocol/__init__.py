"""The agent protocol (contract A1): one request over a WebSocket, as a stream of frames.

Start at `client.ask`. `connection` holds the WebSocket and `frames` is the wire format; `parsing`,
`sanitize` and `rate_limit` bound what an agent can make the bot do (contracts E13, D14).
"""
