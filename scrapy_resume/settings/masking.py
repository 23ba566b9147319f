"""Hides passwords in locations and settings that are shown or logged."""

from __future__ import annotations

import re
from urllib.parse import unquote


def without_password(location: str) -> str:
    """The location, fit to be shown.

    A password with ``@``, ``/`` or ``?`` in it should have been written in percent escapes; if it
    was not, rather too much is hidden than too little.
    """
    hidden = re.sub(r"(?s)://([^:@/?]*)[:/?].*@", r"://\1:***@", location)
    return re.sub(r"([?&])([^=&]*)=([^&]*)", _without_secret, hidden)


def _without_secret(parameter: re.Match[str]) -> str:
    mark, name, _ = parameter.groups()
    return f"{mark}{name}=***" if "pass" in unquote(name).lower() else parameter[0]
