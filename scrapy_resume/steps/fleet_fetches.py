"""Downloads of steps in a fleet: each by the worker that owns the slot, or that claims it for it.

A worker that owns the slot downloads at once. Another one tells the store with its next batch what
it wants: the store gives that to the owner of the slot, or the slot to this worker. A slot is kept
while a download of a step is under way in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

from scrapy.http.request import NO_CALLBACK

from scrapy_resume.steps.fetch_text import error_text, response_of, response_text
from scrapy_resume.store.contract import FetchDone, FetchToDo, WantedFetch

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.http import Response

    from scrapy_resume.codec import Codec
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.ports.clock import Clock, Timer, Waiter
    from scrapy_resume.ports.engine import Engine
    from scrapy_resume.steps.fetching import Download
    from scrapy_resume.store.contract import Batch, Committed

logger = logging.getLogger("scrapy_resume")

ASK_SECONDS: Final = 0.2
"""How often the store is asked while downloads are awaited here or done for others."""

SERVE_SECONDS: Final = 2.0
"""How long after a download for another worker the store is asked for more as often."""


class _Waiting(NamedTuple):
    """A download that a step of this worker waits for."""

    request: Request
    slot: str
    answer: Waiter[str | None]
    """The text of what another worker has got; ``None``: this one is to download it."""


class FleetDownload:
    """Downloads the requests of steps of one worker among many. Implements ``Download``."""

    def __init__(
        self,
        run: int,
        codec: Codec,
        here: Download,
        slot_of: Callable[[Request], str],
        owns: Callable[[str], bool],
        engine: Engine,
        committer: Committer,
        clock: Clock,
    ) -> None:
        # Eight: what a download goes through, in this process or in another one.
        """``here`` downloads in this process. ``owns``: whether a slot is this worker's."""
        self._run = run
        self._codec = codec
        self._here = here
        self._slot_of = slot_of
        self._owns = owns
        self._engine = engine
        self._committer = committer
        self._clock = clock
        self._ids = count(1)
        self.busy: Counter[str] = Counter()
        """Slot → downloads of steps that are under way in it here: it is not given away."""
        self._waiting: dict[int, _Waiting] = {}
        self._wanted: list[WantedFetch] = []
        self._given_up: list[int] = []
        self._done: list[FetchDone] = []
        self._serving_until = 0.0
        self._timer: Timer | None = None
        self._ended = False

    async def download(self, request: Request) -> Response:
        """The response, whatever its status, from the owner of the slot; see ``Download``.

        Raises ``NotRecordableError`` for a request that cannot be given to another worker.
        """
        slot = self._slot_of(request)
        if self._owns(slot):
            return await self._download_here(slot, request)
        if request.callback is NO_CALLBACK:
            request.callback = None  # as whoever downloads it sets it
        payload = self._codec.encode_request(request)
        number = next(self._ids)
        waiting = _Waiting(request, slot, self._clock.waiter())
        self._waiting[number] = waiting
        self._wanted.append(WantedFetch(number, slot, request.url, payload))
        self._committer.begin_entry()
        self._ask_again()
        try:
            text = await waiting.answer.wait()
        except BaseException:  # the step has timed out, or the process ends
            self._give_up(number)
            raise
        if text is not None:
            return response_of(text, request)
        try:
            return await self._here.download(request)
        finally:
            self._leave(slot)

    async def _download_here(self, slot: str, request: Request) -> Response:
        self.busy[slot] += 1
        try:
            return await self._here.download(request)
        finally:
            self._leave(slot)

    def _leave(self, slot: str) -> None:
        self.busy[slot] -= 1
        if not self.busy[slot]:
            del self.busy[slot]

    def _give_up(self, number: int) -> None:
        if self._waiting.pop(number, None) is None:
            return
        before = len(self._wanted)
        self._wanted = [wanted for wanted in self._wanted if wanted.id != number]
        if len(self._wanted) == before:
            self._given_up.append(number)

    # ---- batches

    def complete(self, batch: Batch) -> None:
        """Add to a batch that is about to be sent what is wanted and what is done."""
        report = batch.steps
        report.fetches_wanted, self._wanted = self._wanted, []
        report.fetches_given_up, self._given_up = self._given_up, []
        report.fetches_done, self._done = self._done, []
        report.fetches_awaited = bool(self._waiting)

    def answered(self, answer: Committed) -> None:
        """A batch was committed: pass on what others have done, and do what this worker is to do.
        The slots of that are this worker's by now."""
        for number, text in answer.steps.fetches_done.items():
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                waiting.answer.set(text)
        for todo in answer.steps.fetches_to_do:
            if todo.run == self._run:
                self._do_own(todo)
            else:
                self.busy[todo.slot] += 1
                self._clock.spawn(self._do(todo))

    def _do_own(self, todo: FetchToDo) -> None:
        waiting = self._waiting.pop(todo.id, None)
        self._given_up.append(todo.id)
        if waiting is not None:
            self.busy[waiting.slot] += 1
            waiting.answer.set(None)

    async def _do(self, todo: FetchToDo) -> None:
        """Download what another worker wants."""
        self._serving_until = self._clock.monotonic() + SERVE_SECONDS
        self._ask_again()
        try:
            request = self._codec.decode_request(todo.url, todo.request)
            text = response_text(await self._here.download(request))
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise  # the process ends: another worker does it
        except Exception as error:
            if self._engine.closing:
                logger.debug("%s is left to another worker: %r", todo.url, error)
                return
            text = error_text(error)
        finally:
            self._leave(todo.slot)
        if not self._ended:
            self._done.append(FetchDone(todo.run, todo.id, text))
            self._committer.begin_entry()

    # ---- asking

    def _ask_again(self) -> None:
        if self._timer is None and not self._ended:
            self._timer = self._clock.call_later(ASK_SECONDS, self._ask)

    def _ask(self) -> None:
        self._timer = None
        if self._waiting or self._clock.monotonic() < self._serving_until:
            self._committer.send_soon()
            self._ask_again()

    def end(self) -> None:
        """The run ends: nothing is asked for or told any more."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
