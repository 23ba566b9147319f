"""What users bring of their own to feeds, and mishaps."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

from scrapy import signals
from scrapy.exporters import BaseItemExporter, JsonLinesItemExporter
from scrapy.extensions.feedexport import BlockingFeedStorage, FeedSlot, FileFeedStorage, ItemFilter

from scrapy_resume.feeds import ownership_note, shared_file_appender, shared_file_editor


class Summed(BaseItemExporter):
    """Its end depends on every item that it has written."""

    def __init__(self, file, **kwargs):
        super().__init__(dont_fail=True, **kwargs)
        self.file = file
        self.total = 0

    def start_exporting(self):
        self.file.write(b"pages\n")

    def export_item(self, item):
        self.total += item["page"]
        self.file.write(b"%d, so far %d\n" % (item["page"], self.total))

    def finish_exporting(self):
        self.file.write(b"total %d\n" % self.total)


class Picky(JsonLinesItemExporter):
    """Cannot write some items."""

    def export_item(self, item):
        self.file.write(b"{")
        if item["page"] == 5:
            raise ValueError("not this one")
        self.file.write(b"}\n")


def no_shop(params, spider):
    """The parameters of a URI, which a file must give first."""
    if not Path("shop").exists():
        raise ValueError("no shop yet")
    return {**params, "shop": Path("shop").read_text()}


class EvenPages(ItemFilter):
    def accepts(self, item):
        return item["page"] % 2 == 0


class Moody(ItemFilter):
    """Raises at some items."""

    def accepts(self, item):
        if item["page"] == 5:
            raise ValueError("not this one either")
        return True


class Sorted(FileFeedStorage):
    """Files in a folder of their own; they are written as Scrapy does."""

    def __init__(self, uri, *, feed_options=None):
        path = Path(uri)
        super().__init__(str(path.parent / "sorted" / path.name), feed_options=feed_options)


class Shelf(BlockingFeedStorage):
    """A user's storage: a folder, by the URI ``shelf:/path``."""

    def __init__(self, uri, *, feed_options=None):
        self.place = Path(uri.partition(":")[2])

    def _store_in_thread(self, file):
        if os.environ.get("FEEDING_SHELF") == "closed":
            raise RuntimeError("the shelf is closed")
        file.seek(0)
        self.place.parent.mkdir(parents=True, exist_ok=True)
        self.place.write_bytes(file.read())
        file.close()


class Shout:
    """A post-processing plugin of the user's, which sees each write."""

    def __init__(self, file, feed_options):
        self.file = file
        self.writes = 0

    def write(self, data):
        self.writes += 1
        return self.file.write(b"%d " % self.writes + data.upper())

    def close(self):
        self.file.write(b"%d writes\n" % self.writes)


def uri_params(params, spider):
    return {**params, "made_at": f"{time.time_ns()}"}


class Listener:
    """Writes down which of the exporter's signals came."""

    @classmethod
    def from_crawler(cls, crawler):
        crawler.signals.connect(cls.slot_closed, signals.feed_slot_closed)
        crawler.signals.connect(cls.exporter_closed, signals.feed_exporter_closed)
        return cls()

    @staticmethod
    def slot_closed(slot):
        assert isinstance(slot, FeedSlot)
        cls = type(slot.storage).__name__
        note({"slot": slot.uri, "items": slot.itemcount, "batch": slot.batch_id, "storage": cls})

    @staticmethod
    def exporter_closed():
        note({"exporter": "closed"})


def note(what):
    with open("heard.jsonl", "a") as file:
        file.write(json.dumps(what) + "\n")


class FullDisk:
    """No room on the disk from the fortieth item on, until the file ``room`` is there."""

    @classmethod
    def from_crawler(cls, crawler):
        write = os.write

        class Os:
            def __getattr__(self, name):
                return getattr(os, name)

            @staticmethod
            def write(file, chunk):
                size = os.fstat(file).st_size
                if size < 2_000 or os.path.exists("room"):
                    return write(file, chunk)
                if size < 2_300:
                    return write(file, chunk[:100])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        shared_file_appender.os = Os()
        return cls()


class DiesAtFiles:
    """The process dies at the moment that FEEDING_DIE names: just when the note beside a file is
    gone (``forgotten``), when a file is about to take its place (``placing``), or just has
    (``placed``)."""

    @classmethod
    def from_crawler(cls, crawler):
        if os.environ.get("FEEDING_DIE") == "forgotten":
            remove = ownership_note.NoteFile.remove

            def remove_and_die(self):
                remove(self)
                os._exit(9)

            ownership_note.NoteFile.remove = remove_and_die
        if os.environ.get("FEEDING_DIE") == "placing":
            shared_file_editor.rewrite = lambda *_: os._exit(9)
        if os.environ.get("FEEDING_DIE") == "placed":
            rewrite = shared_file_editor.rewrite
            shared_file_editor.rewrite = lambda *args: os._exit(rewrite(*args) or 9)
        return cls()
