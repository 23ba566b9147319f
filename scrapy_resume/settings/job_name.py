"""The name of a job, derived from its spider and the spider's arguments."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from scrapy_resume.errors import ConfigurationError


def job_name(spider_name: str, arguments: Mapping[str, object], explicit: str | None) -> str:
    """The job's name: ``explicit``, or the spider's with 8 hex digits of its arguments.

    Arguments that begin with ``_`` do not count: scrapyd's ``_job`` differs in each process. Nor do
    objects whose text does: no other process could find the job. The digits are the first ones of
    the SHA-256 of the arguments as sorted JSON. Raises ``ConfigurationError`` for arguments that
    have no such JSON.
    """
    if explicit is not None:
        return explicit
    parts = {
        name: text
        for name, value in sorted(arguments.items())
        if not name.startswith("_") and (text := _canonical(name, value)) is not None
    }
    if not parts:
        return spider_name
    canonical = ", ".join(f"{json.dumps(name)}: {text}" for name, text in parts.items())
    # An argument of the command line that is not UTF-8 has lone surrogates.
    encoded = f"{{{canonical}}}".encode("utf-8", "surrogatepass")
    return f"{spider_name}-{hashlib.sha256(encoded).hexdigest()[:8]}"


def _canonical(name: str, value: object) -> str | None:
    """The argument as JSON; ``None``: it differs in each process."""
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=_as_text)
    except _DiffersError:
        return None
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"No job name can be derived from the spider argument {name} ({error})."
            " Set a name with RESUME_JOB."
        ) from error


class _DiffersError(ValueError):
    """The text of an object has its address in it, which differs in each process."""


def _as_text(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(map(_as_text, value), key=str)
    shown = repr(value)
    if re.search(r" at 0x[0-9a-fA-F]+", shown) and not isinstance(value, str):
        raise _DiffersError
    return shown
