"""What a download has come to, as text: from the worker that has done it to the one that waits.

A response is what the downloader middlewares made of it: its class follows from its headers, URL
and body, as Scrapy's does. An error keeps its class if that is one of Scrapy's, Twisted's or
Python's own, otherwise its name.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from scrapy.http import Headers, Response
from scrapy.responsetypes import responsetypes

from scrapy_resume.errors import message_of

if TYPE_CHECKING:
    from scrapy import Request

_KNOWN: Final = frozenset({"builtins", "scrapy", "twisted"})


class DownloadFailedError(Exception):
    """A download by another worker has failed with an error that this process cannot make. The
    class that is raised has the name of that error."""


def response_text(response: Response) -> str:
    """A response as text."""
    return json.dumps(
        {
            "url": response.url,
            "status": response.status,
            "headers": [
                [name.decode("latin-1"), [value.decode("latin-1") for value in values]]
                for name, values in response.headers.items()
            ],
            "body": b64encode(response.body).decode(),
            "flags": list(response.flags),
            "protocol": response.protocol,
            "ip": None if response.ip_address is None else str(response.ip_address),
        }
    )


def error_text(error: BaseException) -> str:
    """An error as text."""
    kind = type(error)
    return json.dumps(
        {"error": kind.__name__, "module": kind.__module__, "message": message_of(error)}
    )


def response_of(text: str, request: Request) -> Response:
    """The response; raises the error, if it is one."""
    found = json.loads(text)
    if "error" in found:
        raise _error_of(found["module"], found["error"], found["message"])
    headers = Headers(
        {
            name.encode("latin-1"): [value.encode("latin-1") for value in values]
            for name, values in found["headers"]
        }
    )
    body = b64decode(found["body"])
    kind = responsetypes.from_args(headers=headers, url=found["url"], body=body)
    return kind(
        url=found["url"],
        status=found["status"],
        headers=headers,
        body=body,
        flags=found["flags"],
        request=request,
        protocol=found["protocol"],
        ip_address=None if found["ip"] is None else ip_address(found["ip"]),
    )


def _error_of(module: str, name: str, message: str) -> Exception:
    kind = None
    if module.partition(".")[0] in _KNOWN:
        kind = getattr(sys.modules.get(module), name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        with suppress(TypeError):  # it takes something else
            return kind(message)
    named: type[Exception] = type(name, (DownloadFailedError,), {})
    return named(message)
