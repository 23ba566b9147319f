"""What a file system may hold when the power goes: the states that a recorded disk may be left in.

A recorded folder is a list of events (``recorder.Event``). ``Disk`` replays them up to a moment
and keeps, beside the state that processes saw, what was not synced by then. ``Disk.left`` draws
one of the states that may be on the disk afterwards. Two models say which are possible:

``strict``
    What POSIX promises, and no more: the *persistence model* of ALICE (Pillai et al., "All File
    Systems Are Not Created Equal", OSDI 2014) with nothing granted beyond it. A change of a
    directory (create, rename, link, unlink, mkdir, rmdir) may or may not have happened, each by
    itself and in any order, until that directory is synced; syncing the file does not help. A
    change happens whole or not at all (a rename within one directory is atomic on every file
    system of that paper). Changes of one name keep their order, and what needs a directory
    needs that it was made.

``journal``
    ext4 with ``data=ordered``, and XFS: changes of directories and truncations go through a
    journal, so that those on the disk are a *prefix* of those that were made. Syncing a file makes
    the journal durable up to the last change of that file's own metadata (its creation, rename,
    link, truncation, growth), syncing a directory up to its last change
    (https://docs.kernel.org/filesystems/ext4/journal.html, and fsync in
    https://www.sqlite.org/atomiccommit.html). A file's growth is on the disk only if everything
    was that the journal had before it. ``auto_da_alloc`` is granted to nobody: XFS has no
    such thing, and it is an option of a mount.

In both, what a process wrote to a file and did not sync may be on the disk or not, **each file by
itself**. CrashMonkey (Mohan et al., OSDI 2018) draws no more than the first three:

- ``dropped``: nothing of it, as far as the model does not force the size;
- ``kept``: all;
- ``prefix``: its first writes, the last of them cut at the boundary of a block;
- ``part``: each block of 4 KiB is as any of the writes since the last sync left it, and the size
  is one that the file had since then. A block that is inside the size and was never written
  reads as NUL bytes.

A truncation frees the blocks behind it: a block has no content from before a truncation that is
on the disk, and none from after one that is not. What was synced is there: bytes and size of a
file at its last ``fsync`` or ``fdatasync``. Files that have lost their name are gone. Modes,
owners and times are not modelled, nor are media that lie about a sync or tear a sector.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.power.recorder import Event, Snapshot

BLOCK = 4096
STRICT = "strict"
JOURNAL = "journal"
MODELS = (STRICT, JOURNAL)
POLICIES = ("dropped", "kept", "prefix", "part")
NEVER = 1 << 60

Tree = dict[str, "bytes | None"]
"""Content of each file by its name; ``None`` for a directory."""


@dataclass(frozen=True)
class Step:
    """A write within one block, or a truncation (``content`` is ``None``; ``offset``: the size)."""

    at: int
    """The number of its event."""
    offset: int
    content: bytes | None

    @property
    def size(self) -> int:
        """The least size of the file after it."""
        return self.offset + len(self.content or b"")


@dataclass
class File:
    """What was written to one inode. ``base`` is on the disk, ``steps`` may be."""

    base: bytes = b""
    steps: list[Step] = field(default_factory=list)
    size: int = 0
    changed_at: int = -1
    """The last event that changed its metadata: creation, name, size."""

    def write(self, at: int, offset: int, content: bytes) -> None:
        while content:
            room = BLOCK - offset % BLOCK
            self._add(Step(at, offset, content[:room]))
            offset, content = offset + room, content[room:]

    def truncate(self, at: int, size: int) -> None:
        self.changed_at = at
        self._add(Step(at, size, None))

    def _add(self, step: Step) -> None:
        if step.size > self.size:
            self.changed_at = step.at
        self.size = step.offset if step.content is None else max(self.size, step.size)
        self.steps.append(step)

    def synced(self) -> None:
        self.base = self.whole()
        self.steps = []

    def whole(self) -> bytes:
        """As processes saw it."""
        content = bytearray(self.base)
        for step in self.steps:
            _apply(step, content)
        return bytes(content)

    # ---- what may be left of it

    def first_of(self, journal: int) -> int:
        """The least number of steps whose sizes are on the disk, if the journal has all events
        up to this one: it has the truncations."""
        found = 0
        for count, step in enumerate(self.steps, 1):
            if step.content is None and step.at <= journal:
                found = count
        return found

    def last_of(self, journal: int) -> int:
        """The largest number of steps whose sizes are on the disk, if the journal lacks this
        event and all that follow."""
        found, size = 0, len(self.base)
        for count, step in enumerate(self.steps, 1):
            grows = step.content is None or step.size > size
            if grows and step.at >= journal:
                return found
            size = step.offset if step.content is None else max(size, step.size)
            found = count
        return found

    def left(self, chance: random.Random, policy: str, first: int, last: int) -> bytes:
        """Content that may be on the disk. The sizes of at least ``first`` steps and of at most
        ``last`` are."""
        count = {"dropped": first, "kept": last}.get(policy)
        if count is None:
            count = chance.choice([chance.randint(first, last), last])
        versions, sizes = self._versions()
        size = sizes[count]
        content = bytearray(size)
        for block in range(-(-size // BLOCK)):
            start, end = self._visible(block, count)
            known = [one for one in versions.get(block, []) if one[0] <= end]
            older = [one for one in known if one[0] <= start]
            choice = [*older[-1:], *(one for one in known if one[0] > start)]
            if policy == "prefix":
                choice = [one for one in choice if one[0] <= count][-1:]
            elif policy == "dropped":
                choice = choice[:1]
            elif policy == "kept":
                choice = choice[-1:]
            if choice:
                _, block_content = chance.choice([choice[0], choice[-1], chance.choice(choice)])
                begin = block * BLOCK
                piece = block_content[: size - begin]
                content[begin : begin + len(piece)] = piece
        return bytes(content)

    def _versions(self) -> tuple[dict[int, list[tuple[int, bytes]]], list[int]]:
        """Of each block, its content after each number of steps that changed it; and the file's
        size after each number of steps."""
        content = bytearray(self.base)
        versions = {
            block: [(0, bytes(content[block * BLOCK : (block + 1) * BLOCK]))]
            for block in range(-(-len(content) // BLOCK))
        }
        sizes = [len(content)]
        for count, step in enumerate(self.steps, 1):
            before = len(content)
            _apply(step, content)
            sizes.append(len(content))
            end = max(before, len(content)) if step.content is None else step.size
            for block in range(step.offset // BLOCK, -(-end // BLOCK)):
                piece = bytes(content[block * BLOCK : (block + 1) * BLOCK])
                versions.setdefault(block, [(0, b"")]).append((count, piece))
        return versions, sizes

    def _visible(self, block: int, count: int) -> tuple[int, int]:
        """Between which numbers of steps a block's content may be, with the sizes of ``count``."""
        cuts = [
            number
            for number, step in enumerate(self.steps, 1)
            if step.content is None and step.offset < (block + 1) * BLOCK
        ]
        start = max((cut for cut in cuts if cut <= count), default=0)
        end = min((cut - 1 for cut in cuts if cut > count), default=len(self.steps))
        return start, end


def _apply(step: Step, content: bytearray) -> None:
    if step.content is None:
        del content[step.offset :]
        content.extend(bytes(step.offset - len(content)))
        return
    content.extend(bytes(max(0, step.offset - len(content))))
    content[step.offset : step.size] = step.content


@dataclass
class Change:
    """A change of a directory: what each name stands for after it. ``None``: nothing."""

    at: int
    names: dict[str, int | str | None]
    durable: bool = False


DIRECTORY = "directory"


def parents(name: str) -> Iterator[str]:
    """The directories above a name, but for the folder itself."""
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


class Disk:
    """A folder after some of the events that were recorded in it."""

    def __init__(self, before: Snapshot, events: Iterable[Event]) -> None:
        self._files: list[File] = []
        self._of_inode: dict[int, int] = {}
        self._names: dict[str, int | str] = {}
        """What processes see."""
        self._before: dict[str, int | str] = {}
        self._changes: list[Change] = []
        self._journal = -1
        """In the model ``journal``, everything up to this event is durable."""
        self._mapped: set[int] = set()
        for name, found in before.items():
            self._names[name] = DIRECTORY if found is None else self._new(*found)
        self._before = dict(self._names)
        self.count = 0
        for event in events:
            self._take(self.count, event)
            self.count += 1

    def _new(self, inode: int, content: bytes = b"") -> int:
        self._files.append(File(content, size=len(content)))
        self._of_inode[inode] = len(self._files) - 1
        return len(self._files) - 1

    def _take(self, at: int, event: Event) -> None:
        kind = event.kind
        if kind == "c":
            file = self._new(event.inode)
            self._files[file].changed_at = at
            self._change(at, {event.name: file})
        elif kind == "w":
            self._file(event).write(at, event.offset, event.content)
        elif kind == "t":
            self._file(event).truncate(at, event.offset)
        elif kind == "s":
            self._file(event).synced()
            self._journal = max(self._journal, self._file(event).changed_at)
        elif kind == "S":
            self._sync_directory(event.name)
        elif kind == "m":
            self._change(at, {event.name: DIRECTORY})
        elif kind in "ud":
            self._change(at, {event.name: None})
        elif kind in "rl":
            what = self._names[event.name]
            assert isinstance(what, int), f"the rename of a directory is not modelled: {event}"
            self._files[what].changed_at = at
            gone: dict[str, int | str | None] = {event.name: None} if kind == "r" else {}
            self._change(at, {**gone, event.other: what})
        else:
            assert kind == "M", event
            self._mapped.add(self._of_inode[event.inode])

    def _file(self, event: Event) -> File:
        return self._files[self._of_inode[event.inode]]

    def _change(self, at: int, names: dict[str, int | str | None]) -> None:
        self._changes.append(Change(at, names))
        for name, what in names.items():
            if what is None:
                del self._names[name]
            else:
                self._names[name] = what

    def _sync_directory(self, directory: str) -> None:
        for change in self._changes:
            if any(name.rpartition("/")[0] == directory for name in change.names):
                change.durable = True
                self._journal = max(self._journal, change.at)

    def seen(self) -> Tree:
        """What processes saw."""
        return self._tree(self._names, {i: f.whole() for i, f in enumerate(self._files)})

    def mapped(self) -> set[str]:
        """Files that were mapped into memory: what was stored there last may not be recorded."""
        return {name for name, what in self._names.items() if what in self._mapped}

    @staticmethod
    def _tree(names: dict[str, int | str], contents: dict[int, bytes]) -> Tree:
        tree: Tree = {}
        for name, what in sorted(names.items()):
            if all(names.get(parent) == DIRECTORY for parent in parents(name)):
                tree[name] = contents[what] if isinstance(what, int) else None
        return tree

    # ---- what may be left of it

    def left(self, chance: random.Random, model: str, policies: Policies) -> Tree:
        """One of the states that the disk may be in after a power cut."""
        kept, journal, lacking = self._draw_changes(chance, model)
        names = dict(self._before)
        for change in kept:
            for name, what in change.names.items():
                names.pop(name, None)
                if what is not None:
                    names[name] = what
        contents: dict[int, bytes] = {}
        for name, what in sorted(names.items()):
            if isinstance(what, int) and what not in contents:
                file = self._files[what]
                first, last = file.first_of(journal), file.last_of(lacking)
                contents[what] = file.left(chance, policies.of(name), first, last)
        return self._tree(names, contents)

    def _draw_changes(self, chance: random.Random, model: str) -> tuple[list[Change], int, int]:
        """Changes of directories that are on the disk; the last event that the journal has, and
        the first that it lacks."""
        if model == STRICT:
            return self._any_changes(chance), -1, NEVER
        places = sorted({change.at for change in self._changes} | set(self._truncations()))
        free = [place for place in places if place > self._journal]
        count = chance.choice([0, len(free), chance.randint(0, len(free))])
        journal = free[count - 1] if count else self._journal
        lacking = free[count] if count < len(free) else NEVER
        return [change for change in self._changes if change.at <= journal], journal, lacking

    def _truncations(self) -> Iterator[int]:
        for file in self._files:
            yield from (step.at for step in file.steps if step.content is None)

    def _any_changes(self, chance: random.Random) -> list[Change]:
        """Each with what it needs: earlier changes of its names, and of the directories above."""
        odds = chance.choice([0.0, 0.5, 1.0, chance.random()])
        wanted = [change.durable or chance.random() < odds for change in self._changes]
        for number in range(len(self._changes) - 1, -1, -1):
            if not wanted[number]:
                continue
            touched = set(self._changes[number].names)
            above = {parent for name in touched for parent in parents(name)}
            for earlier in range(number):
                names = self._changes[earlier].names.keys()
                # A synced directory may itself have lost its name; see the module's docstring.
                if names & touched or (names & above and not self._changes[number].durable):
                    wanted[earlier] = True
        return [change for change, is_kept in zip(self._changes, wanted, strict=True) if is_kept]


def differences(seen: Tree, left: Tree) -> list[str]:
    """What a power cut has made of what processes saw, a few words for each name."""
    found = [f"{name} is back" for name in left.keys() - seen.keys()]
    for name, content in seen.items():
        there = left.get(name)
        if name not in left:
            found.append(f"{name} is gone")
        elif content is not None and there is not None and content != there:
            pairs = enumerate(zip(content, there, strict=False))
            shorter = min(len(content), len(there))
            same = next((at for at, (one, other) in pairs if one != other), shorter)
            nul = sum(not any(there[at : at + BLOCK]) for at in range(0, len(there), BLOCK))
            found.append(
                f"{name} has {len(there)} bytes of {len(content)}, the first {same} of them right"
                + (f", {nul} blocks of NUL" if nul else "")
            )
    return sorted(found)


class Policies:
    """Draws what becomes of the unsynced writes of each file, by its name."""

    def __init__(self, chance: random.Random, groups: Iterable[tuple[str, ...]] = ()) -> None:
        """``groups``: beginnings of names whose files have one policy, in most draws."""
        self._chance = chance
        self._weights = chance.choice([(1, 1, 1, 1), (3, 3, 1, 1), (1, 1, 4, 1), (1, 2, 1, 4)])
        self._groups = {group: self._draw() for group in groups if chance.random() < 0.6}

    def _draw(self) -> str:
        return self._chance.choices(POLICIES, self._weights)[0]

    def of(self, name: str) -> str:
        """The policy for a file."""
        for group, policy in self._groups.items():
            if name.startswith(group):
                return policy
        return self._draw()
