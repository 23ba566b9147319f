"""``Stage``: the same guarantee as a crawl's, for work that is no crawl."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.settings.location import project_settings
from scrapy_resume.stages.answers import Answer, Document, NoKeys, returned
from scrapy_resume.stages.block import StageBlock
from scrapy_resume.stages.blocked_inputs import BlockedInputs
from scrapy_resume.stages.groups import BY_HAND
from scrapy_resume.stages.mapper import Mapper, MapPlan
from scrapy_resume.stages.opening import stage_settings
from scrapy_resume.stages.results import name_of
from scrapy_resume.stages.sources import have_ended
from scrapy_resume.stages.task import key_function
from scrapy_resume.store.transaction.storable_text import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from scrapy_resume.stages.by_hand import ByHand

NOTHING: dict[str, int] = dict.fromkeys(("done", "failed", "ignored", "known", "retried"), 0)


class Stage(StageBlock):
    """A named piece of work, of which every input is done exactly once, over as many runs as that
    takes.

    ::

        async with Stage("enrich") as stage:
            await stage.map(enrich, urls, concurrency=20)

    In plain code ``with Stage(…)``, and the methods without ``await``: the event loop then runs in
    a thread. What is said below of raising holds for the beginning of the block.

    ``name``: the name of the job. ``store``: as RESUME_STORE; ``None``: the project's, else
    ``.scrapy/resume``. ``total``: how many tasks are expected, for progress and ETA.
    ``input_files``: files on which the meaning of the work depends: a changed one is refused, or,
    with ``on_input_change``, warned of (``"warn"``) or begins a new number (``"fresh"``). ``mode``:
    ``"auto"``, ``"fresh"``, ``"resume"``, ``"once"`` or ``"retry-failed"``, as RESUME_MODE.
    ``force``: take the job over from a live process, as RESUME_FORCE. ``metadata``: kept with the
    job; ``None``: what is stored. ``feeds``: as FEEDS; ``None``: no feeds. ``item_key``: as
    RESUME_ITEM_KEY. ``progress_every``: tasks, or items, between progress lines.

    Raises ``ConfigurationError`` for a wrong parameter, and for the job of a crawl;
    ``JobLockedError`` if another process is on the job (not on PostgreSQL);
    ``InputChangedError``; ``JobNotFoundError`` (mode ``resume``); ``StoreError``.

    An exception that leaves the block makes the job ``failed``. Otherwise it is ``completed`` if
    the inputs came to their end and no key is open, and ``paused`` if not. Leaving the block raises
    ``StoreError`` if the end could not be stored, and ``FeedNotStoredError``.

    A subclass may have ``on_success()`` and ``on_failure(error)``, plain or coroutine functions,
    which are called when the end is stored: the job is completed, or an error has left the block.
    """

    # ---- tasks

    def map(
        self,
        function: Callable[[Any], Any],
        inputs: Iterable[Any] | AsyncIterable[Any],
        *,
        key: str | Callable[[Any], Any] | None = None,
        unit: str | Callable[[Any], Any] | None = None,
        concurrency: int = 8,
        max_attempts: int = 3,
        retry_delay: float = 1.0,
        timeout: float | None = None,
        name: str | None = None,
    ) -> Any:
        """Call a function for each input whose key has no end yet, and store what it returns.

        A coroutine function is awaited, any other is called in a thread. What it returns is an
        item, a list of items, a generator of items, or ``None``. What it raises is tried again,
        then ``failed``; ``Retry``, ``Fail`` and ``Skip`` say what else is to be done.

        ``key``: a field of the input, or a function of it; ``None``: the input itself, a text or a
        number. Equal keys are one task. ``unit``: a field or function, whose value names the unit
        in ``scrapy resume units``; ``None``: the name of the map. ``max_attempts``: the first one
        included. ``retry_delay``: seconds before the second attempt, which double with each.
        ``timeout``: seconds for an attempt; ``None``: no limit. ``name``: what stored tasks are
        known by when the program goes on; ``None``: the name of the function.

        Returns (in asyncio: when awaited) the numbers of tasks of this run that are ``done``,
        ``failed`` and ``ignored``, how many were ``retried``, and how many inputs were ``known``.
        Raises what the inputs raise, ``ConfigurationError`` for an input without a key,
        ``NotRecordableError`` for one that cannot be stored, and ``StoreError``.
        """
        if not callable(function):
            raise ConfigurationError(f"map() of {function!r}, which cannot be called")
        _check("concurrency", concurrency, concurrency >= 1)
        _check("max_attempts", max_attempts, max_attempts >= 1)
        _check("retry_delay", retry_delay, retry_delay >= 0)
        _check("timeout", timeout, timeout is None or timeout > 0)
        plan = MapPlan(
            name=storable(name_of(function) if name is None else str(name)),
            function=function,
            key_of=key_function(key),
            unit_of=_unit_function(unit),
            concurrency=concurrency,
            max_attempts=max_attempts,
            retry_delay_seconds=float(retry_delay),
            timeout_seconds=timeout,
        )
        if self._plain is not None:
            return self._map_plain(plan, inputs)
        if self._task is None:
            return self._nothing()
        return self._map(plan, inputs)

    def _nothing(self) -> Any:
        """What ``map`` returns if the job is completed and nothing is begun."""
        self._check_in_block()
        return self._do(returned(dict(NOTHING)))

    async def _map(self, plan: MapPlan, inputs: Any) -> dict[str, int]:
        run = self._live
        mapper = Mapper(run, plan)
        run.unfinished_readings += 1
        mapper.begin()
        try:
            try:
                await mapper.read(inputs)
            except Exception:
                await mapper.finish_hand()
                raise
            return await self._wait(mapper, inputs)
        except BaseException:
            await mapper.cancel()
            raise

    async def _wait(self, mapper: Mapper, inputs: object) -> dict[str, int]:
        run = self._live
        if not run.stopped:
            run.unfinished_readings -= have_ended(inputs, run.session.job)
            mapper.read_to_end()
        counts = await mapper.wait()
        if run.failure is not None:
            raise run.failure
        return counts

    def _map_plain(self, plan: MapPlan, inputs: Any) -> dict[str, int]:
        """The inputs are read in the thread of the caller, to which they may belong."""
        plain = self._plain
        assert plain is not None
        if isinstance(inputs, AsyncIterable):
            return plain.run(self._map(plan, inputs))
        run = self._live

        async def begin() -> tuple[Mapper, BlockedInputs]:
            mapper = Mapper(run, plan)
            run.unfinished_readings += 1
            mapper.begin()
            return mapper, BlockedInputs(mapper.reader)

        mapper, reading = plain.run(begin())
        try:
            try:
                for portion in reading.portions(inputs):
                    if not plain.run(mapper.reader.offer(portion)):
                        break
                plain.run(reading.end())
            except Exception:
                plain.run(mapper.finish_hand())
                raise
            return plain.run(self._wait(mapper, inputs))
        except BaseException:
            plain.run(reading.give_up())
            plain.run(mapper.cancel())
            raise

    # ---- by hand

    def remaining(
        self,
        inputs: Iterable[Any] | AsyncIterable[Any],
        key: str | Callable[[Any], Any] | None = None,
        *,
        name: str = BY_HAND,
    ) -> Any:
        """Yield ``(key, input)`` for each input whose key has no end yet; ``key`` and ``name`` as
        for ``map``. An ``async for`` in asyncio, a ``for`` in plain code.

        Each key is to be told of: ``done``, ``fail`` or ``skip``. Ends when the stage is told to
        stop. Raises what ``map`` raises for inputs.
        """
        key_of = key_function(key)
        if self._by_hand is None:
            return self._no_keys()
        if self._plain is not None:
            return self._by_hand.remaining_plain(self._plain, inputs, key_of, name)
        return self._by_hand.remaining(inputs, key_of, name)

    def should_skip(self, key: Any) -> Any:
        """Whether a key needs nothing: it has an end (``done``, ``failed``, ``parked``,
        ``ignored``), or another process has it. May be awaited. Raises ``StoreError``."""
        if self._by_hand is None:
            self._check_in_block()
            return Answer(True)
        skips = self._by_hand.should_skip(key)
        return skips if self._plain is not None else Answer(skips)

    def done(self, key: Any, items: Any = None) -> Any:
        """A key is done, with an item, a list or a generator of items, or ``None``.

        Returns when it is taken over: that waits while too much is not committed (backpressure);
        ``flush`` waits until it is committed. Returns false if the key had an end before: what is
        said now is dropped. Raises ``StoreError`` if nothing can be committed any more.
        """
        return self._tell(lambda by_hand: by_hand.done(key, items))

    def fail(self, key: Any, error: object) -> Any:
        """A key has failed: it stays so until ``scrapy resume retry``. ``error``: an exception, or
        a text. Returns and raises as ``done``."""
        return self._tell(lambda by_hand: by_hand.fail(key, error))

    def skip(self, key: Any, reason: str) -> Any:
        """There is nothing to do for a key: it is ``ignored``. Returns and raises as ``done``."""
        return self._tell(lambda by_hand: by_hand.skip(key, reason))

    def flush(self) -> Any:
        """Wait until all that was done so far is committed, and what was read is stored. Raises
        ``StoreError``."""
        if self._run is None:
            self._check_in_block()
            return self._do(returned(None))
        return self._do(self._flush())

    async def _flush(self) -> None:
        run = self._live
        run.flush()
        await run.committer.wait_committed()
        if run.failure is not None:
            raise run.failure

    def _tell(self, tell: Callable[[ByHand], Coroutine[Any, Any, bool]]) -> Any:
        if self._by_hand is None:
            self._check_in_block()
            return self._do(returned(False))
        return self._do(tell(self._by_hand))

    def _no_keys(self) -> Any:
        self._check_in_block()
        return NoKeys()

    # ---- for people

    @property
    def metadata(self) -> dict[str, Any]:
        """What is kept with the job, and shown: a dict that may be changed at any time. Values are
        what JSON can hold."""
        return self._plan_metadata if self._run is None else self._run.metadata.values

    @metadata.setter
    def metadata(self, values: Mapping[str, Any]) -> None:
        self._live.metadata.values = dict(values)

    def progress(self) -> dict[str, Any]:
        """The document of ``scrapy resume status --json``, of what is committed. Reads the store.
        Raises ``StoreError``."""
        from scrapy_resume.reporting.reports import open_store

        if self._run is None and self.status is not None:  # passed over: it is completed
            store = stage_settings(self._plan, project_settings()).store
            return Document(open_store(store).job(self._plan.name))
        run = self._live
        return Document(open_store(run.settings.store).job(str(run.session.job)))

    def print_progress(self) -> None:
        """Print the progress line on standard output."""
        from scrapy_resume.reporting.progress import progress_of

        print(progress_of(self.progress()).line(), flush=True)


def _check(name: str, value: object, fits: bool) -> None:
    if not fits:
        raise ConfigurationError(f"{name} of map() is {value!r}: it is too small")


def _unit_function(unit: str | Callable[[Any], Any] | None) -> Callable[[Any], str | None]:
    if unit is None:
        return lambda _: None
    unit_of = key_function(unit)
    return lambda task_input: None if (name := unit_of(task_input)) is None else str(name)
