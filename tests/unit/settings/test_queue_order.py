from __future__ import annotations

import pytest
from scrapy.dupefilters import BaseDupeFilter, RFPDupeFilter
from scrapy.pqueues import ScrapyPriorityQueue
from scrapy.settings import Settings
from scrapy.squeues import FifoMemoryQueue

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.settings.queue_order import QueueOrder, queue_order


class CustomDupeFilter(RFPDupeFilter):
    pass


class CustomQueue(ScrapyPriorityQueue):
    pass


def order(**values: object) -> QueueOrder:
    return queue_order(Settings(values))


def test_by_default_the_order_is_scrapy_s():
    assert order() == QueueOrder(by_slot=True, lifo=True, start="fifo", dedupe=True)


@pytest.mark.parametrize(
    ("setting", "value", "field", "expected"),
    [
        ("SCHEDULER_PRIORITY_QUEUE", "scrapy.pqueues.ScrapyPriorityQueue", "by_slot", False),
        ("SCHEDULER_PRIORITY_QUEUE", ScrapyPriorityQueue, "by_slot", False),
        ("SCHEDULER_MEMORY_QUEUE", "scrapy.squeues.FifoMemoryQueue", "lifo", False),
        ("SCHEDULER_MEMORY_QUEUE", FifoMemoryQueue, "lifo", False),
        ("SCHEDULER_START_MEMORY_QUEUE", "scrapy.squeues.LifoMemoryQueue", "start", "lifo"),
        ("SCHEDULER_START_MEMORY_QUEUE", None, "start", None),
        ("DUPEFILTER_CLASS", "scrapy.dupefilters.BaseDupeFilter", "dedupe", False),
        ("DUPEFILTER_CLASS", BaseDupeFilter, "dedupe", False),
    ],
)
def test_scrapy_s_own_classes_are_obeyed(setting, value, field, expected):
    assert getattr(order(**{setting: value}), field) == expected


def test_resume_order_has_the_last_word():
    fifo = "scrapy.squeues.FifoMemoryQueue"
    assert order(RESUME_ORDER="dfo", SCHEDULER_MEMORY_QUEUE=fifo).lifo is True
    breadth_first = order(RESUME_ORDER="bfo", SCHEDULER_START_MEMORY_QUEUE=None)
    assert (breadth_first.lifo, breadth_first.start) == (False, None)


def test_disk_queues_do_not_matter():
    assert order(SCHEDULER_DISK_QUEUE="nowhere.Queue") == order()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("DUPEFILTER_CLASS", f"{__name__}.CustomDupeFilter"),
        ("DUPEFILTER_CLASS", CustomDupeFilter),
        ("SCHEDULER_PRIORITY_QUEUE", f"{__name__}.CustomQueue"),
        ("SCHEDULER_MEMORY_QUEUE", "scrapy.squeues.PickleLifoDiskQueue"),
        ("SCHEDULER_MEMORY_QUEUE", "no_such_module.Queue"),
        ("SCHEDULER_START_MEMORY_QUEUE", "not-a-path"),
    ],
)
def test_another_class_is_refused_by_name_with_the_remedy(setting, value):
    with pytest.raises(ConfigurationError) as caught:
        order(**{setting: value})
    message = str(caught.value)
    assert message.startswith(setting)
    assert (value if isinstance(value, str) else value.__qualname__) in message
    assert f"Remove {setting}" in message
    assert "scrapy." in message
