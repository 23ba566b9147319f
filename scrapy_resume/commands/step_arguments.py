"""Arguments that are about steps of items, and what the project's code says about a step."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.arguments import Options
from scrapy_resume.commands.named_lines import UsageError, lines_of

if TYPE_CHECKING:
    from scrapy.settings import Settings

    from scrapy_resume.commands.invocation import Invocation
    from scrapy_resume.steps.declared import DeclaredStep

SHOWN: Final = 5
"""Keys that no item has and that are named."""


def add_step_filters(parser: Options) -> None:
    """The options that select steps of items."""
    parser.add_argument("--step", metavar="NAME", help="this step of items")
    parser.add_argument(
        "--item",
        action="append",
        metavar="KEY",
        help="with --step: of the item with this key, as 'items' shows it; given twice, of either",
    )
    parser.add_argument(
        "--item-file",
        metavar="FILE",
        help="with --step: file of such keys, one in a line; -: standard input",
    )
    parser.add_argument(
        "--outdated",
        action="store_true",
        help="with --step: not done by the version that the step has in RESUME_STEPS now",
    )


STEP_OPTIONS: Final = {"item": "--item", "item_file": "--item-file", "outdated": "--outdated"}
"""Arguments that need ``--step``, and how they are given."""


def step_filters(call: Invocation) -> dict[str, Any]:
    """The filters that were given beside ``--step``, as keywords of ``step_selection``, but for
    states; ends with exit code 2 if they cannot be meant so. Raises ``OSError``, and
    ``ConfigurationError`` if the project's code of the step is needed and cannot be loaded."""
    try:
        keys = _keys(call.arguments)
    except UsageError as error:
        call.usage_error(str(error))
    filters: dict[str, Any] = {} if keys is None else {"items": keys}
    if call.arguments.outdated:
        filters["version"] = declared(call, call.arguments.step).version
    return filters


def _keys(arguments: Namespace) -> list[str] | None:
    if arguments.item is None and arguments.item_file is None:
        return None
    keys = list(arguments.item or ())
    if arguments.item_file is not None:
        keys += lines_of(arguments.item_file, "--item-file")
    return list(dict.fromkeys(keys))


def declared(call: Invocation, name: str) -> DeclaredStep:
    """What the project's RESUME_STEPS says about a step. Raises ``ConfigurationError``."""
    from scrapy_resume.errors import ConfigurationError

    found = declared_or_none(call, name)
    if found is None or not found.is_on:
        raise ConfigurationError(
            f"RESUME_STEPS has no step {name!r} here, so that its version is not known. Run the "
            "command in the project, or give the states with --state."
        )
    return found


def declared_or_none(call: Invocation, name: str) -> DeclaredStep | None:
    """The same; ``None``: the settings do not name it. Raises ``ConfigurationError``."""
    spider = call.reports().summary(call.find_job()).spider
    return declared_of(call.settings, spider, name)


def declared_of(settings: Settings, spider: str, name: str) -> DeclaredStep | None:
    """What RESUME_STEPS says about a step, in these settings with those of the spider; ``None``:
    nothing. Raises ``ConfigurationError``."""
    from scrapy_resume.settings.table import parse_setting
    from scrapy_resume.steps.declared import declared_steps

    found = _with_spiders_own(settings, spider)
    return declared_steps(parse_setting("RESUME_STEPS", found)).get(name)


def _with_spiders_own(settings: Settings, spider: str) -> Settings:
    """The settings with those of the spider, if the project has it."""
    from scrapy.spiderloader import get_spider_loader

    try:
        spider_class = get_spider_loader(settings).load(spider)
    except KeyError:
        return settings
    found = settings.copy()
    spider_class.update_settings(found)
    return found


def unknown_keys(call: Invocation, filters: dict[str, Any]) -> list[str]:
    """Keys that no item with steps has, each with one that is like it; of many, the first."""
    if "items" not in filters:
        return []
    unknown = call.reports().unknown_item_keys(call.arguments.job, filters["items"])
    return [f"{key} (did you mean {near}?)" if near else key for key, near in unknown.items()]


def unknown_keys_line(unknown: list[str]) -> str:
    """Says which they are."""
    more = f" and {len(unknown) - SHOWN:,} more" if len(unknown) > SHOWN else ""
    keys = "1 key is that" if len(unknown) == 1 else f"{len(unknown):,} keys are those"
    return f"{keys} of no item with steps: {', '.join(unknown[:SHOWN])}{more}"
