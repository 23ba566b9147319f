"""With CI=true no test is skipped for want of what the tests bring themselves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.site import REPO

pytest_plugins = ["pytester"]

SERVER = """
    import pytest
    from tests.support.skips import not_started

    @pytest.fixture(scope="session")
    def server():
        not_started("the server", "initdb failed: no space left on device")

    def test_one(server): pass
    def test_two(server): pass
"""


@pytest.fixture(params=[(), ("-n", "2")], ids=["one process", "xdist"])
def run(
    request: pytest.FixtureRequest, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Runs a file of tests in a process of its own; returns the result."""
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    pytester.makeconftest(
        "from tests.support.skips import pytest_make_collect_report, pytest_runtest_makereport\n"
    )

    def run(source: str, ci: str | None) -> pytest.RunResult:
        monkeypatch.delenv("CI", raising=False)
        if ci is not None:
            monkeypatch.setenv("CI", ci)
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-ra", "-p", "no:twisted", *request.param)

    return run


@pytest.mark.parametrize("ci", [None, "", "false"])
def test_what_did_not_start_skips_on_a_developers_machine(run: Any, ci: str | None) -> None:
    result = run(SERVER, ci)
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*the server did not start: initdb failed: no space left*"])


def test_what_did_not_start_fails_on_ci_and_says_why(run: Any) -> None:
    result = run(SERVER, "true")
    result.assert_outcomes(errors=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*the server did not start: initdb failed: no space left*"])


@pytest.mark.parametrize(
    "source",
    [
        "import pytest\ndef test_it(): pytest.skip('nothing here')",
        "import pytest\n@pytest.mark.skip(reason='nothing here')\ndef test_it(): pass",
        "import pytest\n@pytest.mark.skipif(True, reason='nothing here')\ndef test_it(): pass",
        "import unittest\ndef test_it(): raise unittest.SkipTest('nothing here')",
    ],
)
def test_a_skip_without_a_known_reason_fails_on_ci(run: Any, source: str) -> None:
    run(source, None).assert_outcomes(skipped=1)
    result = run(source, "true")
    counts = result.parseoutcomes()
    assert counts.get("failed", 0) + counts.get("errors", 0) == 1, counts
    assert "skipped" not in counts
    result.stdout.fnmatch_lines(["*skipped, which CI=true does not allow: nothing here*"])


def test_a_module_that_skips_itself_fails_on_ci(run: Any) -> None:
    source = "import pytest\npytest.importorskip('no_such_library')\ndef test_it(): pass"
    assert run(source, None).ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result = run(source, "true")
    assert result.ret not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
    result.stdout.fnmatch_lines(["*CI=true does not allow*no_such_library*"])


@pytest.mark.parametrize("kind", ["other_store", "other_scrapy", "other_platform"])
def test_a_test_about_something_else_may_be_skipped_on_ci(run: Any, kind: str) -> None:
    source = f"""
        import pytest
        from tests.support.skips import {kind}

        def test_called(): pytest.skip({kind}("another one"))

        @pytest.mark.skipif(True, reason={kind}("another one"))
        def test_marked(): pass

        @pytest.mark.xfail(reason="known")
        def test_expected(): assert False
    """
    run(source, "true").assert_outcomes(skipped=2, xfailed=1)


def test_this_suite_has_the_hooks(request: pytest.FixtureRequest) -> None:
    from tests.support import skips

    for name in ("pytest_runtest_makereport", "pytest_make_collect_report"):
        hook = getattr(request.config.hook, name)
        assert getattr(skips, name) in [found.function for found in hook.get_hookimpls()]
