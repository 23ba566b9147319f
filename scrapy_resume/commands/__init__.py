"""``scrapy resume``: its subcommands, one module each, and how their answers look to people.

What the answers say is computed in ``reporting``; what changes a job is done by ``store``. Every
``scrapy`` command loads this module, so it imports only what Scrapy's own commands need.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final

from scrapy.commands import ScrapyCommand

from scrapy_resume.engine.output_formats import accept_databases

if TYPE_CHECKING:
    from scrapy_resume.commands.invocation import Clock

SUBCOMMANDS: Final = (
    "list",
    "status",
    "show",
    "requests",
    "items",
    "steps",
    "units",
    "workers",
    "failed",
    "retry",
    "park",
    "skip",
    "run",
    "stop",
    "export",
    "log",
    "recover",
    "reset",
    "clean",
    "backup",
    "restore",
    "verify",
    "report",
    "web",
)
"""Each is a module of this package with ``HELP``, ``add_arguments`` and ``run``."""


accept_databases()


class ResumeCommand(ScrapyCommand):
    """``scrapy resume SUBCOMMAND …``, inside and outside of a project."""

    requires_project = False
    requires_crawler_process = False
    default_settings: ClassVar[dict[str, Any]] = {"LOG_ENABLED": False}
    clock: ClassVar[Clock | None] = None
    """``None``: the clock of the system."""

    def syntax(self) -> str:
        """What follows ``scrapy resume`` in the usage line."""
        return "[options] SUBCOMMAND ..."

    def short_desc(self) -> str:
        """One line for the list of commands."""
        return "Inspect and control the jobs of resumable crawls"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Declare Scrapy's global options, and the subcommands in a parser of their own.

        Scrapy's parser takes the global options, wherever they stand; the rest, ``--help``
        included, is left to the parser of the subcommands.
        """
        super().add_options(parser)
        parser.add_argument("-h", "--help", action="store_true", help=argparse.SUPPRESS)
        self._parser = type(parser)(
            prog="scrapy resume",
            description=self.long_desc(),
            epilog="Scrapy's global options (such as -s NAME=VALUE) may stand anywhere.",
        )
        subparsers = self._parser.add_subparsers(
            title="subcommands", metavar="SUBCOMMAND", required=True
        )
        for name in SUBCOMMANDS:
            module = import_module(f"{__name__}.{name}")
            subparser = subparsers.add_parser(
                name, help=module.HELP, description=module.HELP, allow_abbrev=False
            )
            subparser.set_defaults(run=module.run, usage_error=subparser.error)
            module.add_arguments(subparser)

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Parse Scrapy's options, then the subcommand's; wrong usage ends with exit code 2."""
        super().process_options(args, opts)
        self._arguments = self._parser.parse_args([*args, *(["--help"] if opts.help else [])])

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the subcommand; a failure is one line on standard error and exit code 1."""
        from scrapy_resume.commands.formats import one_line
        from scrapy_resume.commands.invocation import Clock, Invocation
        from scrapy_resume.errors import ResumeError

        assert self.settings is not None
        call = Invocation(self._arguments, self.settings, self.clock or Clock())
        try:
            with suppress(BrokenPipeError):  # the reader has left
                self.exitcode = self._arguments.run(call)
                sys.stdout.flush()
        except (ResumeError, OSError) as error:
            self.exitcode = call.fail(one_line(error))
        except KeyboardInterrupt:
            self.exitcode = 130
        _discard_unprintable_output()


def _discard_unprintable_output() -> None:
    """Python flushes standard output again at exit, and would then print an error."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
