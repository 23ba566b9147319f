from __future__ import annotations

from scrapy_resume.feeds.byte_ranges import first_of, joined, minus, moved


def test_ranges_without_others() -> None:
    assert minus([(0, 10)], [(2, 3), (5, 12)]) == [(0, 2), (3, 5)]
    assert minus([(0, 3), (5, 8)], [(1, 6)]) == [(0, 1), (6, 8)]
    assert minus([(4, 4)], []) == []


def test_ranges_of_which_some_bytes_are_the_first() -> None:
    assert first_of([(2, 4), (6, 9)], 3) == [(2, 4), (6, 7)]
    assert first_of([(2, 4), (6, 9)], 2) == [(2, 4)]
    assert first_of([(2, 4)], 0) == []
    assert first_of([(2, 4)], 9) == [(2, 4)]


def test_ranges_move_when_others_before_them_go_or_grow() -> None:
    assert moved([(0, 2), (6, 9)], [(2, 6)], 0) == [(0, 5)]
    assert moved([(0, 2), (6, 9)], [(2, 6)], 10) == [(0, 2), (12, 15)]
    assert moved([(3, 4), (8, 9)], [(1, 2), (5, 7)], 0) == [(2, 3), (5, 6)]
    assert moved([(0, 2)], [], 10) == [(0, 2)]


def test_ranges_that_touch_are_one() -> None:
    assert joined([(0, 2), (2, 2), (2, 5), (7, 8)]) == [(0, 5), (7, 8)]
