"""Why a value cannot be serialized, and where in the request or item it is."""

from __future__ import annotations

_SHOWN_STEPS = 8
_SHOWN_KEY = 60


class UnserializableError(Exception):
    """A value cannot be serialized.

    Raised at the value; each container that it passes adds a step of the path to the value. It
    never leaves the package: ``Codec`` raises a public error in its place.
    """

    def __init__(self, why: str) -> None:
        """``why`` continues a sentence that begins with the path: ``is a _thread.lock, ...``."""
        super().__init__(why)
        self.why = why
        self._steps: list[str] = []

    def within(self, step: str) -> None:
        """Add one step to the front of the path, such as ``[3]`` or ``.name``."""
        self._steps.append(step)

    def describe(self, root: str = "") -> str:
        """The path and the reason, such as ``meta['x'][3] is a _thread.lock, ...``."""
        steps = self._steps[::-1]
        shown = "".join(steps[:_SHOWN_STEPS]) + ("…" if len(steps) > _SHOWN_STEPS else "")
        return f"{root}{shown} {self.why}"


def key_step(key: object) -> str:
    """The step into a mapping. Of a key of a user's type only the type is shown."""
    if not isinstance(key, str | bytes | int | float | None):
        return f"[<{type_name(type(key))}>]"
    shown = repr(key)
    return f"[{shown}]" if len(shown) <= _SHOWN_KEY else f"[{shown[:_SHOWN_KEY]}…]"


def type_name(kind: type) -> str:
    """``pkg.mod.Name``; for a built-in type the name only."""
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"
