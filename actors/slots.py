"""Slots: so many at once, the others wait in turn."""

import anyio


class Slots:
    """Held with `async with`. Whoever finds one free takes it without troubling the event loop."""

    def __init__(self, count: int) -> None:
        self._free = anyio.Semaphore(count)

    async def __aenter__(self) -> None:
        try:
            self._free.acquire_nowait()
        except anyio.WouldBlock:
            await self._free.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._free.release()
