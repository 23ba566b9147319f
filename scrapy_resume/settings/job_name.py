"""The name of a job, derived from its spider and the spider's arguments."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from scrapy_resume.errors import ConfigurationError


def job_name(spider_name: str, arguments: Mapping[str, object], explicit: str | None) -> str:
    """The job's name: ``explicit``, or the spider's with 8 hex digits of its arguments.

    Arguments that begin with ``_`` do not count: scrapyd's ``_job`` differs in each process. The
    digits are the first ones of the SHA-256 of the arguments as sorted JSON. Raises
    ``ConfigurationError`` for arguments whose text differs in each process.
    """
    if explicit is not None:
        return explicit
    counted = {name: value for name, value in arguments.items() if not name.startswith("_")}
    if not counted:
        return spider_name
    try:
        canonical = json.dumps(counted, sort_keys=True, ensure_ascii=False, default=_as_text)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"No job name can be derived from the spider arguments ({error})."
            " Set a name with RESUME_JOB."
        ) from error
    # An argument of the command line that is not UTF-8 has lone surrogates.
    text = canonical.encode("utf-8", "surrogatepass")
    return f"{spider_name}-{hashlib.sha256(text).hexdigest()[:8]}"


def _as_text(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    shown = repr(value)
    if re.search(r" at 0x[0-9a-fA-F]+", shown):
        raise ValueError(f"the text {shown} differs in each process")
    return shown
