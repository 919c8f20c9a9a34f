"""HTTP requests to the homeserver: retries, outages, rate limits, and the classification of responses.

Start reading at `transport`: every request passes it. It waits for `circuit_breaker` (outages) and `rate_limits` (429),
makes one HTTP request through a `backend`, and classifies the response with `responses`. `access_token` holds the
session's token.
"""
