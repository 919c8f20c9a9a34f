"""The process: `python -m tests.support.memory_homeserver` prints its URL and serves."""

import argparse
import asyncio
import json
import sys

from aiohttp import web

from sandbox.parent_watch import die_with_parent
from tests.support.memory_homeserver.bench import Bench
from tests.support.memory_homeserver.homeserver import Homeserver
from tests.support.memory_homeserver.http_server import HttpServer


async def _serve(port: int, server_name: str, put_delay_ms: float) -> None:
    server = Homeserver(server_name)
    http = HttpServer(server, Bench(server), put_delay_ms / 1000)
    runner = web.ServerRunner(web.Server(http.handle, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    bound_port = runner.addresses[0][1]
    print(json.dumps({"port": bound_port, "url": f"http://127.0.0.1:{bound_port}"}), flush=True)
    await asyncio.Event().wait()  # until a signal ends the process


def main() -> None:
    """Read the command line and serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.memory_homeserver", description=__doc__
    )
    parser.add_argument("--port", type=int, default=0, help="0 (default) takes a free one")
    parser.add_argument("--server-name", default="localhost")
    parser.add_argument("--put-delay-ms", type=float, default=0.0, help="time a sent message takes")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that started this"
    )
    options = parser.parse_args()
    if options.until_stdin_closes:
        die_with_parent()
    try:
        asyncio.run(_serve(options.port, options.server_name, options.put_delay_ms))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
