"""Values that requests share: one object in memory, one piece of work over crashes.

A *shared object* is a dict, a list, an item that several requests carry, or that somebody beside
its request holds. Its name stands in the payloads of its requests, so that one which comes back
from the store gets the object that the others have.

The requests that carry it are its *members*. While no callback changes an object, its members end
like all others. As soon as one has, what the store has of the others does not know of it: the
finish of a member is then held until all of them have ended, and all are finished in one
transaction. Objects that were changed and have a member in common are one *group*, and end
together; what nobody changes ties nothing together. If the process dies before, all of them are
fetched again, with the values that they had when they were admitted. What members yield with a
changed object runs from memory, and ends with the group.

An object may be within another one that is shared (the item, and one of its parts). Then its name
stands in the payloads of that one's members too, so that they come back as one within the other.

For that, the requests of a callback that carry values which can change are withheld until it has
ended: they are admitted together, in the transaction of its finish, with the values as it left
them. See docs/lineage.md.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from scrapy_resume.errors import OthersNotFetchedError, describe
from scrapy_resume.model import State
from scrapy_resume.tracking.shared_objects import (
    Group,
    Planned,
    SharedObject,
    is_within,
    key_of,
    others,
    put_within,
    tied_to,
    watched,
    with_parts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from scrapy import Request

    from scrapy_resume.codec import Codec
    from scrapy_resume.codec.shared_values import Parts, Path, SharedRef
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.tracking.shared_objects import Kind

logger = logging.getLogger("scrapy_resume")

LARGEST_GROUP: Final = 2_000
"""Requests of which a group may consist, from its first change on: more are not held."""

UNCHANGED_ENOUGH: Final = 8
"""Where several workers are on a job: values of one kind that so many callbacks left unchanged,
and none changed, count as constants, which requests may carry to any worker."""

KINDS: Final = 1_000
"""Kinds of values that are told apart at most."""


class Sharing:
    """The shared objects of this run. Those that only requests in the store have, unchanged, are
    forgotten: the first one that comes back brings an equal one."""

    def __init__(self, run: int, codec: Codec, spider: object, *, fleet: bool) -> None:
        """``fleet``: other workers may be on the job."""
        self._run = run
        self._codec = codec
        self._values = codec.shared
        self._spider = spider
        self._of_class = {id(v): v for kind in type(spider).__mro__ for v in vars(kind).values()}
        self._fleet = fleet
        self._count = 0
        self._by_id: dict[int, SharedObject] = {}
        self._by_name: dict[str, SharedObject] = {}
        self._arriving: dict[int, tuple[SharedObject, ...]] = {}
        """By row id: what requests carry whose arrival the store has not answered."""
        self._holding: dict[int, Group] = {}
        """By their id: groups with held members."""
        self._unchanged: dict[Kind, int] = {}
        self._changed: set[Kind] = set()

    # ---- admission

    def plan(self, parent: Row, arrivals: Sequence[Any], *, ended: bool) -> list[Planned]:
        """How the requests that ``parent`` has yielded are to be admitted. Each of ``arrivals`` has
        the attribute ``request``. ``ended``: its callback has ended."""
        self._sweep(2 * len(arrivals))
        group = self._changed_group(parent.shared)
        if ended and group is not None and not others(group, parent.shared):
            # All members have ended: what these carry begins anew.
            for shared in group.objects:
                self._forget(shared)
            group = None
        known = self._count
        parts: Parts = {}
        planned = []
        for arrival in arrivals:
            carried = self._carried(arrival.request, parts)
            objects = watched(carried)
            for shared in objects:
                shared.open += 1
            planned.append((arrival, carried, objects))
        tied = tied_to(group, [objects for _, _, objects in planned], known)
        return [
            Planned(
                arrival,
                carried,
                objects,
                None if tied.isdisjoint(objects) else group,
                self._is_bound(objects, known),
            )
            for arrival, carried, objects in planned
        ]

    def unknown_values(self, request: Request) -> set[int]:
        """The ids of values that a request shares, and that no admitted one does."""
        return {id(value) for _, value in self._values.find(request)}.difference(self._by_id)

    def _carried(self, request: Request, parts: Parts) -> list[tuple[Path, SharedObject]]:
        callback = getattr(request.callback, "__qualname__", "")
        try:
            carried = [
                (path, self._object(value, (callback, key_of(path))))
                for path, value in self._values.find(request, parts)
            ]
        except Exception as error:  # of the user's classes
            logger.warning("%s: what it shares cannot be read: %s", request, describe(error))
            return []
        return with_parts(carried, self._is_spiders)

    def _object(self, value: Any, kind: Kind) -> SharedObject:
        shared = self._by_id.get(id(value))
        if shared is not None:
            return shared
        self._count += 1
        shared = self._add(f"{self._run}.{self._count}", value, kind, self._count)
        shared.watched = self._values.is_container(value) and not self._is_spiders(value)
        return shared

    def _add(self, name: str, value: Any, kind: Kind, serial: int = 0) -> SharedObject:
        shared = SharedObject(name, value, self._codec.state_text(value), kind, serial)
        self._by_id[id(value)] = self._by_name[name] = shared
        return shared

    def _is_spiders(self, value: Any) -> bool:
        """Whether the spider itself holds a value, whose life is that of the crawl."""
        return self._of_class.get(id(value)) is value or any(
            held is value for held in vars(self._spider).values()
        )

    def _is_bound(self, objects: Iterable[SharedObject], known: int) -> bool:
        """Whether a request must stay with this worker, since it shares a value that may change."""
        return self._fleet and any(
            shared.open > 1 and shared.serial > known and not self._is_constant(shared.kind)
            for shared in objects
        )

    def _is_constant(self, kind: Kind) -> bool:
        left_alone = self._unchanged.get(kind, 0)
        return kind not in self._changed and left_alone >= UNCHANGED_ENOUGH

    def refs(self, planned: Planned, parent: Row) -> list[SharedRef]:
        """What the payload of a request says of what it carries."""
        return [
            self._values.ref(path, shared.name, max(0, shared.open - (shared in parent.shared)))
            for path, shared in planned.carried
            if path and (shared.open or len(shared.around) != 1)
        ]

    def arrives(self, row_id: int, objects: tuple[SharedObject, ...]) -> None:
        """A request is on its way to the store."""
        if objects:
            self._arriving[row_id] = objects

    def settle(self, row_id: int) -> tuple[SharedObject, ...]:
        """The store has answered an arrival. Returns what it carries."""
        return self._arriving.pop(row_id, ())

    def runs_from_memory(self, row: Row, planned: Planned, parent: Row) -> None:
        """A request has got a row that runs from memory."""
        row.shared = planned.objects
        if planned.group is not None:
            planned.group.from_memory.append((row, parent))

    def refs_again(self, row: Row, request: Request) -> list[SharedRef] | None:
        """What the payload of a request that continues a row says of what it carries; ``None``: it
        must run from memory, since that has changed."""
        if not row.shared:
            return []
        if self._changed_group(row.shared) is not None:
            return None
        carried = [
            (path, self._by_id[id(value)])
            for path, value in self._values.find(request)
            if path and id(value) in self._by_id
        ]
        return [
            self._values.ref(path, shared.name, max(0, shared.open)) for path, shared in carried
        ]

    def attach(self, row: Row, request: Request) -> None:
        """A request has come back from the store: have it carry the objects that the others have.
        Raises StoreDamagedError."""
        carried: list[tuple[Path, SharedObject]] = []
        outer: tuple[Path, SharedObject] | None = None
        is_known = False
        for ref in self._codec.shared_refs(row.payload):
            is_part = outer is not None and is_within(ref.path, outer[0])
            if is_part and is_known:
                continue  # What is within is what the others have there.
            shared = self._by_name.get(ref.name)
            was_known = shared is not None
            try:
                if shared is None:
                    shared = self._restored(ref, request, is_part=is_part)
                else:
                    self._values.put_at(request, ref.path, shared.value)
            except (LookupError, AttributeError, TypeError):
                continue  # The class around it has another shape now: it is the request's own.
            carried.append((ref.path, shared))
            if is_part and outer is not None:
                put_within(shared, outer[1])
            else:
                outer, is_known = (ref.path, shared), was_known
        row.shared = watched(carried)

    def _restored(self, ref: SharedRef, request: Request, *, is_part: bool) -> SharedObject:
        """The object of a value that the first of its requests has brought back. ``is_part``: it
        is within another one."""
        callback = getattr(request.callback, "__qualname__", "")
        shared = self._add(
            ref.name, self._values.value_at(request, ref.path), (callback, key_of(ref.path))
        )
        shared.open = ref.requests
        # Other workers may have the other members.
        shared.watched = ref.requests == 1 or ((ref.requests > 1 or is_part) and not self._fleet)
        return shared

    # ---- the end of members

    def finishing(self, row: Row) -> list[Row]:
        """A member has ended. Returns the rows that are to be finished now, in one transaction: it
        alone, none, or all members of its group."""
        objects, row.shared = row.shared, ()
        group = self._changed_group(objects)
        self._note_kinds(objects)
        for shared in objects:
            shared.ended += 1
        if group is None:
            self._leave(objects)
            return [row]
        group.held.append(row)
        row.held = True
        self._holding[id(group)] = group
        self._leave(objects)
        if not group.open:
            return self._release(group)
        if len(group.held) + group.open > LARGEST_GROUP:
            return self._give_up(group)
        return []

    def leaves(self, objects: tuple[SharedObject, ...]) -> list[Row]:
        """A request was known already, and is no member. Returns the rows to be finished now."""
        self._leave(objects)
        groups = {id(shared.group): shared.group for shared in objects}.values()
        return [row for group in groups if not group.open for row in self._release(group)]

    def release_all(self) -> list[Row]:
        """No request is left anywhere: what is held is finished."""
        return [row for group in list(self._holding.values()) for row in self._end_early(group)]

    def _end_early(self, group: Group) -> list[Row]:
        """The held members of a group of which others have ended in an earlier run. If they are
        fetched again and give nothing without these, what they gave then is kept: they fail."""
        missing, kind = group.open, group.objects[0].kind
        rows = self._release(group)
        if not any(row.items or row.spilled for row in rows):
            for row in rows:
                if row.supersedes:
                    error = OthersNotFetchedError(kind[1], missing)
                    logger.error("%s %s", row.url, error)
                    row.set_outcome(State.failed, type(error).__name__, str(error))
        return rows

    def _leave(self, objects: Iterable[SharedObject]) -> None:
        for shared in objects:
            shared.open -= 1
            if shared.open <= 0 and (shared.group.gave_up or not shared.group.changed):
                self._forget(shared)

    def _release(self, group: Group) -> list[Row]:
        """All held members of a group, which is over."""
        for shared in group.objects:
            if shared.open <= 0:
                self._forget(shared)
        self._holding.pop(id(group), None)
        rows, group.held = group.held, []
        group.from_memory.clear()
        return rows

    def _give_up(self, group: Group) -> list[Row]:
        """A group is too large to be one piece of work. What runs from memory gets an anchor."""
        group.gave_up = True
        logger.warning(
            "More than %d requests share a value that their callbacks change (%s of %s). In this "
            "run they go on sharing it. If the process dies, those that are left then begin with "
            "the value as it was when they were yielded: see docs/lineage.md",
            LARGEST_GROUP,
            group.objects[0].kind[1],
            group.objects[0].kind[0] or "parse",
        )
        for member, parent in group.from_memory:
            if not member.ended:
                member.anchor = parent
                parent.open_below += 1
        return self._release(group)

    def _note_kinds(self, objects: Iterable[SharedObject]) -> None:
        if not self._fleet:
            return
        for shared in objects:
            if shared.group.changed and len(self._changed) < KINDS:
                self._changed.add(shared.kind)
            elif shared.kind in self._unchanged or len(self._unchanged) < KINDS:
                self._unchanged[shared.kind] = self._unchanged.get(shared.kind, 0) + 1

    # ---- groups

    def _changed_group(self, objects: Iterable[SharedObject]) -> Group | None:
        """The group of those that were changed: by the callback that was given them, or by another
        one before. ``None``: there are none, or they are in groups that were given up."""
        found: Group | None = None
        for shared in objects:
            group = shared.group
            if group.gave_up:
                continue
            if not group.changed and self._codec.state_text(shared.value) == shared.base:
                continue
            for changed in (shared, *shared.around):
                changed.group.changed = True
                if found is None:
                    found = changed.group
                elif not changed.group.gave_up:
                    self._merge(found, changed.group)
        return found

    def _merge(self, kept: Group, gone: Group) -> None:
        if kept is gone:
            return
        kept.objects += gone.objects
        kept.held += gone.held
        kept.from_memory += gone.from_memory
        for shared in gone.objects:
            shared.group = kept
        self._holding.pop(id(gone), None)
        if kept.held:
            self._holding[id(kept)] = kept

    def _forget(self, shared: SharedObject) -> None:
        self._by_id.pop(id(shared.value), None)
        if self._by_name.get(shared.name) is shared:
            del self._by_name[shared.name]
        parts, shared.parts = shared.parts, set()
        for part in parts:
            part.around.discard(shared)
            if part.open <= 0 and not part.around:
                self._forget(part)

    def _sweep(self, most: int) -> None:
        """Look at some objects, and forget those that a copy can replace."""
        for _ in range(min(most, len(self._by_name))):
            name = next(iter(self._by_name))
            shared = self._by_name.pop(name)
            if self._is_replaceable(shared):
                self._forget(shared)
            else:
                self._by_name[name] = shared

    def _is_replaceable(self, shared: SharedObject) -> bool:
        group = shared.group
        return (
            len(group.objects) == 1
            and not group.changed
            and (not shared.watched or not shared.ended or shared.open <= 1)
            and not self._values.is_held_elsewhere(shared.value, 1)
            and self._codec.state_text(shared.value) == shared.base
        )
