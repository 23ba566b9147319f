"""The packages whose functions and classes a stored job may name: the project's, and more.

The modules of the spider's class and its bases are added where the spider is known; see
``codec.trust``.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from scrapy.settings import BaseSettings
from scrapy.utils.conf import get_config

from scrapy_resume.settings.table import parse_setting

_NOT_OF_A_PROJECT: Final = frozenset({"scrapy", "scrapy_resume", *sys.stdlib_module_names})


def trusted_packages(settings: BaseSettings) -> tuple[str, ...]:
    """The packages that contain the modules of SPIDER_MODULES, NEWSPIDER_MODULE and of the
    project's settings, and the prefixes of RESUME_TRUSTED. Raises ``ConfigurationError``."""
    modules = [*settings.getlist("SPIDER_MODULES"), settings.get("NEWSPIDER_MODULE")]
    given: tuple[str, ...] = parse_setting("RESUME_TRUSTED", settings)
    packages = [_package(str(module)) for module in modules if module]
    return tuple(dict.fromkeys((*packages, *project_packages(), *given)))


def project_packages() -> tuple[str, ...]:
    """The package of the settings of the project in whose directory, or for which, this process
    runs. Nothing is imported."""
    module = os.environ.get("SCRAPY_SETTINGS_MODULE")
    if not module:
        name = os.environ.get("SCRAPY_PROJECT", "default")
        module = get_config().get("settings", name, fallback="")
    return (_package(module),) if module else ()


def _package(module: str) -> str:
    """The outermost package of a module; of Scrapy or Python itself, the module alone."""
    top = module.partition(".")[0]
    return module if top in _NOT_OF_A_PROJECT else top
