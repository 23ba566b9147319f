"""The state of an instance, and an instance restored from it without running code of its class.

The state is the instance's ``__dict__`` and its slots. Neither ``__init__`` nor validators, hooks
or properties run when the state is read or restored.
"""

from __future__ import annotations

from functools import lru_cache
from types import MemberDescriptorType
from typing import Any

from scrapy.utils.trackref import object_ref

from scrapy_resume.codec.unserializable import UnserializableError, type_name
from scrapy_resume.errors import CallbackMissingError

# Set by ``typing`` on an instance of a generic class.
_NOT_STATE = frozenset({"__orig_class__"})

# attrs caches a hash here that is valid in one process only; None makes it compute a new one.
_HASH_CACHE = "_attrs_cached_hash"


@lru_cache(maxsize=512)
def slots_of(kind: type) -> dict[str, MemberDescriptorType]:
    """The slots of a class and its bases, by their mangled names."""
    slots: dict[str, MemberDescriptorType] = {}
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if type(member) is MemberDescriptorType:
                slots.setdefault(name, member)
    return slots


def blank(kind: type[Any]) -> Any:
    """An instance without state. Scrapy's own objects count as live references, as usual.

    Raises TypeError for a class whose instances are more than attributes (a subclass of dict).
    """
    return object_ref.__new__(kind) if issubclass(kind, object_ref) else object.__new__(kind)


def state_of(instance: Any) -> dict[str, Any]:
    """Attribute name → value, for the attributes that are set, in the order of setting."""
    kind: type = type(instance)
    # Without the check, asking for __dict__ might run the class's __getattr__.
    state = dict(instance.__dict__) if kind.__dictoffset__ else {}
    for name, member in slots_of(kind).items():
        try:
            state[name] = member.__get__(instance, kind)
        except AttributeError:  # a slot that is not set
            continue
    for name in _NOT_STATE.intersection(state):
        del state[name]
    if state.get(_HASH_CACHE) is not None:
        state[_HASH_CACHE] = None
    return state


def set_state(instance: Any, state: dict[str, Any]) -> None:
    """Set the attributes. Raises CallbackMissingError if the class has no slot for one any more."""
    kind: type = type(instance)
    slots = slots_of(kind)
    for name, value in state.items():
        if name in slots:
            slots[name].__set__(instance, value)
        elif kind.__dictoffset__:
            instance.__dict__[name] = value
        else:
            raise CallbackMissingError(
                f"a stored {type_name(kind)} has {name!r}, which the class does not have any more; "
                "put it back, or begin a new job"
            )


def refuse_unless_blank(kind: type) -> None:
    """Raise UnserializableError for a class whose instances are more than their attributes."""
    try:
        blank(kind)
    except TypeError:
        raise UnserializableError(
            f"is a {type_name(kind)}, which is more than its fields; register a codec for it in "
            "RESUME_CODECS"
        ) from None
