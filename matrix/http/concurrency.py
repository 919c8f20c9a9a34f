"""Runs many reads at once, within a limit."""

from collections.abc import Awaitable, Callable, Iterable

import anyio

MAX_CONCURRENT_READS = 20


async def run_reads(reads: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Run all reads, at most `MAX_CONCURRENT_READS` at a time."""
    limit = anyio.CapacityLimiter(MAX_CONCURRENT_READS)

    async def run(read: Callable[[], Awaitable[None]]) -> None:
        async with limit:
            await read()

    async with anyio.create_task_group() as tasks:
        for read in reads:
            tasks.start_soon(run, read)
