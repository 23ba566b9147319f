"""Masks passwords in locations and settings that are shown or logged."""

from __future__ import annotations

import re
from urllib.parse import unquote


def without_password(location: str) -> str:
    """The location with ``***`` in place of passwords.

    A password that contains ``@``, ``/`` or ``?`` without percent escapes is masked too, possibly
    with parts of the URL around it.
    """
    hidden = re.sub(r"(?s)://([^:@/?]*)[:/?].*@", r"://\1:***@", location)
    return re.sub(r"([?&])([^=&]*)=([^&]*)", _without_secret, hidden)


def _without_secret(parameter: re.Match[str]) -> str:
    mark, name, _ = parameter.groups()
    return f"{mark}{name}=***" if "pass" in unquote(name).lower() else parameter[0]
