"""The setting ``RESUME_CODECS``: codecs that users register for types of their own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from scrapy.utils.misc import load_object

from scrapy_resume.codec.import_paths import resolve
from scrapy_resume.codec.unserializable import type_name
from scrapy_resume.errors import ConfigurationError, repr_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NATIVE = (type(None), bool, int, float, str, list, dict)


class RegisteredCodec(Struct, frozen=True):
    """One entry of the setting. ``path`` is the type's import path as the setting has it."""

    path: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def registered_types(codecs: Mapping[Any, Any]) -> dict[type, RegisteredCodec]:
    """Type → codec. The setting may have import paths or, as elsewhere in Scrapy, the objects.

    Raises ConfigurationError for a path that cannot be loaded or leads to the wrong object.
    """
    found: dict[type, RegisteredCodec] = {}
    for type_path, codec_path in codecs.items():
        kind = _load(type_path, "a type")
        if not isinstance(kind, type) or kind in _NATIVE:
            raise ConfigurationError(
                f"RESUME_CODECS: {type_path} is not a type that a codec can be registered for; "
                "name a class that is not one of JSON's own"
            )
        path = type_path if isinstance(type_path, str) else type_name(kind)
        found[kind] = _entry(path, codec_path)
    return found


def _entry(type_path: str, codec_path: Any) -> RegisteredCodec:
    codec = _load(codec_path, "a codec")
    try:
        instance = codec() if isinstance(codec, type) else codec
    except TypeError as error:
        raise ConfigurationError(
            f"RESUME_CODECS: {codec_path} cannot be made without arguments ({error}); "
            "let encode and decode be static methods, or name an instance"
        ) from error
    encode, decode = getattr(instance, "encode", None), getattr(instance, "decode", None)
    if not callable(encode) or not callable(decode):
        raise ConfigurationError(
            f"RESUME_CODECS: {codec_path} must have encode(value) and decode(value)"
        )
    return RegisteredCodec(type_path, encode, decode)


def _load(path: Any, what: str) -> Any:
    if not isinstance(path, str):
        return path
    try:
        if ":" in path:
            return resolve(path)
        try:
            return load_object(path)
        except (ValueError, NameError):  # no dot, or a module that its package does not hold yet
            return import_module(path)
    except Exception as error:
        raise ConfigurationError(
            f"RESUME_CODECS: {path!r} does not lead to {what} ({repr_of(error)}); give an "
            "import path such as 'shop.codecs.PriceCodec', and see that the module can be imported"
        ) from error
