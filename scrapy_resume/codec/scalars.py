"""Values without parts: numbers, text and bytes, dates and times, paths, regular expressions."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from math import isfinite
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from scrapy_resume.codec.import_paths import resolve
from scrapy_resume.codec.unserializable import UnserializableError, type_name
from scrapy_resume.codec.writer_reader import TaggedType
from scrapy_resume.errors import CallbackMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scrapy_resume.codec.writer_reader import Reader, Write, Writer

_PLAIN_INT_BITS = 2048
"""Longer integers are written in hexadecimal: Python limits the digits of decimal conversion."""

_ZONE_ARGUMENTS: dict[str, Callable[[Any], list[Any]]] = {
    "dateutil.tz.tz.tzutc": lambda zone: [],
    "dateutil.tz.tz.tzoffset": lambda zone: [zone.tzname(None), zone.utcoffset(None)],
    "pytz.UTC": lambda zone: [],
    "dateparser.timezone_parser.StaticTzInfo": lambda zone: [
        zone.tzname(None),
        zone.utcoffset(None),
    ],
}


PLAIN_OF: Final[dict[type, Callable[[Any], Any]]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    bytes: lambda value: bytes(bytearray(value)),
    Decimal: lambda value: Decimal(value.as_tuple()),
    datetime: lambda value: datetime.combine(value.date(), value.timetz()),
    date: lambda value: date(value.year, value.month, value.day),
    dict: lambda value: dict(value.items()),
    list: list,
    tuple: tuple,
    set: set,
    frozenset: lambda value: frozenset(list(value)),
}
"""Plain type → function that converts an instance of a subclass, such as a BeautifulSoup string."""


def scalars() -> Iterator[TaggedType]:
    """The types of this module."""
    yield TaggedType(int, "$int", _write_int, lambda reader, tree: int(tree["$int"], 16))
    yield TaggedType(float, "$float", _write_float, lambda reader, tree: float(tree["$float"]))
    yield TaggedType(str, "$str", _write_str, _read_str)
    yield TaggedType(bytes, "$bytes", lambda writer, value, depth: bytes_tree(value), _read_bytes)
    yield TaggedType(bytearray, "$bytearray", _write_bytearray, _read_bytearray)
    yield TaggedType(complex, "$complex", _write_complex, _read_complex)
    yield TaggedType(Fraction, "$fraction", _write_fraction, _read_fraction)
    yield TaggedType(range, "$range", _write_range, _read_range)
    yield TaggedType(timedelta, "$timedelta", _write_timedelta, _read_timedelta)
    yield TaggedType(datetime, "$datetime", _write_datetime, _read_datetime)
    yield TaggedType(time, "$time", _write_time, _read_time)
    yield TaggedType(timezone, "$timezone", _write_timezone, _read_timezone)
    yield TaggedType(ZoneInfo, "$zoneinfo", _write_zoneinfo, _read_zoneinfo)
    yield TaggedType(re.Pattern, "$pattern", _write_pattern, _read_pattern)
    yield _as_text("$date", date, date.isoformat, date.fromisoformat)
    yield _as_text("$decimal", Decimal)
    yield _as_text("$uuid", UUID)
    for kind in (
        *(IPv4Address, IPv4Interface, IPv4Network),
        *(IPv6Address, IPv6Interface, IPv6Network),
        *(PurePosixPath, PureWindowsPath),
    ):
        yield _as_text(f"${kind.__name__.lower()}", kind)
    # PosixPath or WindowsPath: the plain path of the machine that reads.
    yield _as_text("$path", type(Path()), str, Path)


def zone_writer(kind: type) -> Write | None:
    """The function for a time zone of dateutil, pytz or dateparser; ``None`` for any other type."""
    arguments = _ZONE_ARGUMENTS.get(type_name(kind))
    if arguments is None:
        return None
    path = f"{kind.__module__}:{kind.__qualname__}"

    def write(writer: Writer, value: Any, depth: int) -> Any:
        return {"$zone": path, "arguments": writer.write(arguments(value), depth - 1)}

    return write


def read_zone(reader: Reader, tree: dict[str, Any]) -> Any:
    """Calls only classes of ``_ZONE_ARGUMENTS``, whatever the store contains."""
    path = tree["$zone"]
    if path.replace(":", ".") not in _ZONE_ARGUMENTS:
        raise ValueError(f"{path} is not a known time zone type")
    found = resolve(path)
    # pytz.UTC is an instance that carries its class's name.
    return found(*reader.read(tree["arguments"])) if isinstance(found, type) else found


def is_utf8(text: str) -> bool:
    """Whether the text can be encoded: false if it contains lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def bytes_tree(value: bytes) -> dict[str, str]:
    """Tagged text: the bytes themselves if they are UTF-8, otherwise in base 64."""
    try:
        return {"$bytes": value.decode()}
    except UnicodeDecodeError:
        return {"$base64": b64encode(value).decode()}


def _read_bytes(reader: Reader, tree: dict[str, Any]) -> bytes:
    return str.encode(tree["$bytes"])


def read_base64(reader: Reader, tree: dict[str, Any]) -> bytes:
    """Reads the base 64 form of ``bytes_tree``."""
    return b64decode(tree["$base64"], validate=True)


def _as_text(
    tag: str,
    kind: type,
    to_text: Callable[[Any], str] = str,
    from_text: Callable[[str], Any] | None = None,
) -> TaggedType:
    """A type that a text describes completely, by default the text that ``str`` gives."""
    parse = from_text or kind

    def write(writer: Writer, value: Any, depth: int) -> Any:
        return {tag: writer.write(to_text(value), depth)}

    def read(reader: Reader, tree: dict[str, Any]) -> Any:
        return parse(reader.read(tree[tag]))

    return TaggedType(kind, tag, write, read)


def _write_int(writer: Writer, value: int, depth: int) -> Any:
    return value if value.bit_length() <= _PLAIN_INT_BITS else {"$int": hex(value)}


def _write_float(writer: Writer, value: float, depth: int) -> Any:
    return value if isfinite(value) else {"$float": repr(value)}


def _write_str(writer: Writer, value: str, depth: int) -> Any:
    return value if is_utf8(value) else {"$str": value.encode("unicode_escape").decode()}


def _read_str(reader: Reader, tree: dict[str, Any]) -> str:
    return str.encode(tree["$str"]).decode("unicode_escape")


def _write_bytearray(writer: Writer, value: bytearray, depth: int) -> Any:
    return {"$bytearray": bytes_tree(bytes(value))}


def _read_bytearray(reader: Reader, tree: dict[str, Any]) -> bytearray:
    return bytearray(reader.read(tree["$bytearray"]))


def _write_complex(writer: Writer, value: complex, depth: int) -> Any:
    return {"$complex": writer.write([value.real, value.imag], depth)}


def _read_complex(reader: Reader, tree: dict[str, Any]) -> complex:
    return complex(*reader.read(tree["$complex"]))


def _write_fraction(writer: Writer, value: Fraction, depth: int) -> Any:
    return {"$fraction": writer.write([value.numerator, value.denominator], depth)}


def _read_fraction(reader: Reader, tree: dict[str, Any]) -> Fraction:
    return Fraction(*reader.read(tree["$fraction"]))


def _write_range(writer: Writer, value: range, depth: int) -> Any:
    return {"$range": writer.write([value.start, value.stop, value.step], depth)}


def _read_range(reader: Reader, tree: dict[str, Any]) -> range:
    return range(*reader.read(tree["$range"]))


def _write_timedelta(writer: Writer, value: timedelta, depth: int) -> Any:
    return {"$timedelta": [value.days, value.seconds, value.microseconds]}


def _read_timedelta(reader: Reader, tree: dict[str, Any]) -> timedelta:
    return timedelta(*tree["$timedelta"])


def _write_datetime(writer: Writer, value: datetime, depth: int) -> Any:
    return _clock_tree("$datetime", writer, value, depth)


def _read_datetime(reader: Reader, tree: dict[str, Any]) -> datetime:
    value: datetime = _with_zone(reader, tree, datetime.fromisoformat(tree["$datetime"]))
    return value


def _write_time(writer: Writer, value: time, depth: int) -> Any:
    return _clock_tree("$time", writer, value, depth)


def _read_time(reader: Reader, tree: dict[str, Any]) -> time:
    value: time = _with_zone(reader, tree, time.fromisoformat(tree["$time"]))
    return value


def _clock_tree(tag: str, writer: Writer, value: Any, depth: int) -> dict[str, Any]:
    zone = value.tzinfo
    if zone is None or (type(zone) is timezone and _name_of(zone) is None):
        tree = {tag: value.isoformat()}
    else:
        bare = value.replace(tzinfo=None).isoformat()
        try:
            tree = {tag: bare, "zone": writer.write(zone, depth - 1)}
        except UnserializableError as error:
            error.within(".tzinfo")
            raise
    if value.fold:
        tree["fold"] = 1
    return tree


def _with_zone(reader: Reader, tree: dict[str, Any], value: Any) -> Any:
    if "zone" in tree:
        value = value.replace(tzinfo=reader.read(tree["zone"]))
    return value.replace(fold=1) if "fold" in tree else value


def _name_of(zone: timezone) -> str | None:
    """The name that a fixed time zone was given; ``None`` for a default one such as UTC+01:00."""
    name = zone.tzname(None)
    return None if name == timezone(zone.utcoffset(None)).tzname(None) else name


def _write_timezone(writer: Writer, value: timezone, depth: int) -> Any:
    tree = {"$timezone": writer.write(value.utcoffset(None), depth - 1)}
    name = _name_of(value)
    return tree if name is None else {**tree, "name": writer.write(name, depth - 1)}


def _read_timezone(reader: Reader, tree: dict[str, Any]) -> timezone:
    return timezone(*(reader.read(tree[key]) for key in ("$timezone", "name") if key in tree))


def _write_zoneinfo(writer: Writer, value: ZoneInfo, depth: int) -> Any:
    if value.key is None:
        raise UnserializableError("is a zoneinfo.ZoneInfo without a key; make it by its name")
    return {"$zoneinfo": value.key}


def _read_zoneinfo(reader: Reader, tree: dict[str, Any]) -> ZoneInfo:
    try:
        return ZoneInfo(tree["$zoneinfo"])
    except ZoneInfoNotFoundError as error:
        raise CallbackMissingError(
            f"a stored time is in the zone {tree['$zoneinfo']}, which this machine does not know; "
            "install tzdata"
        ) from error


def _write_pattern(writer: Writer, value: re.Pattern[Any], depth: int) -> Any:
    return {"$pattern": writer.write(value.pattern, depth - 1), "flags": int(value.flags)}


def _read_pattern(reader: Reader, tree: dict[str, Any]) -> re.Pattern[Any]:
    return re.compile(reader.read(tree["$pattern"]), tree["flags"])
