"""``scrapy resume``: what people ask and tell their jobs.

Scrapy loads this module whenever ``scrapy`` is called, whatever for: it imports nothing
that Scrapy's own commands do not need.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, ClassVar, Final

from scrapy.commands import ScrapyCommand

SUBCOMMANDS: Final = (
    "list",
    "status",
    "show",
    "requests",
    "units",
    "failed",
    "retry",
    "park",
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
)
"""Each is a module of this package with ``HELP``, ``add_arguments`` and ``run``."""


class ResumeCommand(ScrapyCommand):
    """``scrapy resume SUBCOMMAND …``, in a project and outside."""

    requires_project = False
    requires_crawler_process = False
    default_settings: ClassVar[dict[str, Any]] = {"LOG_ENABLED": False}

    def syntax(self) -> str:
        """What follows ``scrapy resume`` in the usage line."""
        return "[options] SUBCOMMAND ..."

    def short_desc(self) -> str:
        """One line for the list of commands."""
        return "See and steer the jobs of resumable crawls"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Scrapy's global options, which may stand anywhere, and the subcommands.

        Scrapy's parser takes the global options and leaves the rest to that of the
        subcommands, ``--help`` included.
        """
        super().add_options(parser)
        parser.add_argument("-h", "--help", action="store_true", help=argparse.SUPPRESS)
        self._parser = type(parser)(
            prog="scrapy resume",
            description=self.long_desc(),
            epilog="Scrapy's global options (-s NAME=VALUE and so on) may stand anywhere.",
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
        """Scrapy's options, then those of the subcommand; exits with 2 if they are wrong."""
        super().process_options(args, opts)
        self._arguments = self._parser.parse_args([*args, *(["--help"] if opts.help else [])])

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the subcommand; a failure is one line on standard error, and exit code 1."""
        from scrapy_resume.commands.call import Call, one_line
        from scrapy_resume.errors import ResumeError

        assert self.settings is not None
        try:
            with suppress(BrokenPipeError):  # who reads has read enough
                self.exitcode = self._arguments.run(Call(self._arguments, self.settings))
                sys.stdout.flush()
        except (ResumeError, OSError) as error:
            print(f"scrapy resume: {one_line(error)}", file=sys.stderr)
            self.exitcode = 1
        except KeyboardInterrupt:
            self.exitcode = 130
        _drop_what_cannot_be_printed()


def _drop_what_cannot_be_printed() -> None:
    """Python flushes standard output once more at exit, and would complain then."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
