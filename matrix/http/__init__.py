"""HTTP requests to the homeserver: retries, outages, rate limits, and what a response means.

Start reading at `transport`: every request of this package goes through it. It consults `circuit_breaker` (outages)
and `rate_limits` (429), makes one HTTP request through `backend`, and classifies the response with `responses`.
"""
