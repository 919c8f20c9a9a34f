"""The agent protocol (contract A1): one request over a WebSocket, as a stream of frames.

Start reading at `client.ask`. `connection` holds the WebSocket and `frames` is the wire format; `parsing`, `sanitize`
and `rate_limit` bound the time and memory that an agent can cost the bot (contracts E13, D14).
"""
