"""Why a value cannot be written down, and where in the request or item it is."""

from __future__ import annotations

_SHOWN_STEPS = 8
_SHOWN_KEY = 60


class Refusal(Exception):
    """Raised where the value is; collects the way to it as it passes what holds the value.

    Never leaves the package: ``Codec`` turns it into an error of the public tree.
    """

    def __init__(self, why: str) -> None:
        """``why`` goes on from the place: ``is a _thread.lock, ...``."""
        super().__init__(why)
        self.why = why
        self._steps: list[str] = []

    def within(self, step: str) -> None:
        """Note one step of the way, from the inside out."""
        self._steps.append(step)

    def describe(self, root: str = "") -> str:
        """The place and the reason, such as ``meta['x'][3] is a _thread.lock, ...``."""
        steps = self._steps[::-1]
        shown = "".join(steps[:_SHOWN_STEPS]) + ("…" if len(steps) > _SHOWN_STEPS else "")
        return f"{root}{shown} {self.why}"


def key_step(key: object) -> str:
    """One step into a mapping; a key of a user's type is shown by its type only."""
    if not isinstance(key, str | bytes | int | float | None):
        return f"[<{type_name(type(key))}>]"
    shown = repr(key)
    return f"[{shown}]" if len(shown) <= _SHOWN_KEY else f"[{shown[:_SHOWN_KEY]}…]"


def type_name(kind: type) -> str:
    """``pkg.mod.Name``; of a built-in type just the name."""
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"
