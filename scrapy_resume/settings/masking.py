"""Masks passwords in locations, settings and URLs that are shown or logged."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"

_SECRET_NAME: Final = re.compile(r"pass(?:$|w|[^a-z]|phrase|code|key)")
"""In the name of a parameter: ``password``, ``pass``, ``ssl_password``, ``passphrase``, not
``passengers``."""

_PARAMETER: Final = re.compile(r"([?&])([^=&\s\"'<>#]*)=([^&\s\"'<>#]*)")

_USERINFO: Final = re.compile(
    r"(?<=//)([^\s<>:@/?#]*):(?:[^\s<>/?#]*@|(?!\d*(?:[/?#]|$))[^\s<>\"']*@)"
)
"""User and password before the host of a URL. In the second form the password has an unescaped
``/``, ``?`` or ``#``: what follows the colon is no port."""

_AUTHORITY: Final = re.compile(r"(?<![^\s\"'(<])(?!mailto:)([\w.%+-]+):[^\s@/]+@(?=[\w\[])")
"""The same without a scheme, as errors' messages have it: ``invalid hostname: me:secret@host``."""

_EXAMPLE: Final = "user:password@"
"""In messages that say what a URL looks like."""

_NAMED_SECRET: Final = re.compile(
    r"(?is)(\w*(?:pass|secret|token)\w*\s*=\s*)"
    r"('(?:[^'\\]|\\.)*'?|.*?(?=[\s&]+\w+\s*=|$))"
)
"""``password=…`` in the connection strings of libpq, quoted or not."""

_SCHEME: Final = re.compile(r"\W*[A-Za-z][A-Za-z0-9+.-]*://")


def without_password(location: str) -> str:
    """A valid location, or one with a single mistake, with ``***`` in place of passwords.

    A password that contains ``@``, ``/`` or ``?`` without percent escapes is masked too, possibly
    with parts of the URL around it.
    """
    hidden = re.sub(r"(?s)://([^:@/?]*)[:/?].*@", rf"://\1:{MASK}@", location)
    return re.sub(r"([?&])([^=&]*)=([^&]*)", _without_secret, hidden)


def masked_text(text: str) -> str:
    """Text, such as a page's URL or an error's message, with ``***`` in place of the passwords of
    the URLs in it: in their userinfo, and in parameters whose names say password.

    What is not known to be a password stays as it is. Masking twice changes nothing.
    """
    if "@" in text and ":" in text:
        text = _USERINFO.sub(_without_userinfo, text)
        text = _AUTHORITY.sub(_without_userinfo, text)
    if "=" in text and "pass" in unquote(text).lower():
        text = _PARAMETER.sub(_without_secret, text)
    return text


def masked_refusal(given: str) -> str:
    """A location that is refused, in one printable line, without anything that may be a password.

    Where a password would stand is not known, so what is between the first colon and the last
    ``@`` is masked, or what follows the first colon, and values whose names say password.
    """
    hidden = re.sub(r"([?&])([^=&]*)=([^&]*)", _without_secret, given)
    hidden = _NAMED_SECRET.sub(rf"\1{MASK}", hidden)
    scheme = _SCHEME.match(hidden)
    start = scheme.end() if scheme else 0
    head, rest = hidden[:start], hidden[start:]
    user, colon, after = _parted(rest, r"[:\uff1a]")
    *_, last_at = [None, *re.finditer(r"(?i)[@\uff20]|%40", rest)]
    if last_at is None:
        return repr(head + user + colon + (MASK if after else ""))
    if not colon or len(user) > last_at.start():
        user, colon = "", ""
    return repr(head + user + colon + MASK + rest[last_at.start() :])


def masked_value(given: object) -> str:
    """The ``repr`` of a setting's value, with ``***`` in place of passwords."""
    shown = _NAMED_SECRET.sub(rf"\1{MASK}", without_password(repr(given)))
    return shown if "://" in shown else re.sub(r"(?s):.*@", f":{MASK}@", shown)


def _parted(text: str, separator: str) -> tuple[str, str, str]:
    """``str.partition`` by a regular expression."""
    found = re.search(separator, text)
    return (text[: found.start()], found[0], text[found.end() :]) if found else (text, "", "")


def _without_userinfo(found: re.Match[str]) -> str:
    return found[0] if found[0] == _EXAMPLE else f"{found[1]}:{MASK}@"


def _without_secret(parameter: re.Match[str]) -> str:
    mark, name, _ = parameter.groups()
    secret = _SECRET_NAME.search(unquote(name).lower())
    return f"{mark}{name}={MASK}" if secret else parameter[0]
