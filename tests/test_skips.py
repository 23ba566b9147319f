"""With CI=true no test is skipped for want of what the tests bring themselves."""

from __future__ import annotations

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


class Runs:
    """Runs files of tests with the hooks of the suite, and none of its other plugins."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self.monkeypatch = monkeypatch
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.setenv("PYTHONPATH", str(REPO))

    def __call__(self, source: str, ci: str | None) -> pytest.RunResult:
        self.prepare(source, ci)
        return self.pytester.runpytest_inprocess(*WORDS)

    def with_xdist(self, source: str, ci: str | None) -> pytest.RunResult:
        self.prepare(source, ci)
        return self.pytester.runpytest_subprocess(*WORDS, "-p", "xdist.plugin", "-n", "1")

    def prepare(self, source: str, ci: str | None) -> None:
        self.monkeypatch.delenv("CI", raising=False)
        if ci is not None:
            self.monkeypatch.setenv("CI", ci)
        self.pytester.makepyfile(source)


WORDS = ["-ra", "-p", "tests.support.skips"]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(pytester, monkeypatch)


@pytest.mark.parametrize("ci", [None, "", "false"])
def test_what_did_not_start_skips_on_a_developers_machine(run: Runs, ci: str | None) -> None:
    result = run(SERVER, ci)
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*the server did not start: initdb failed: no space left*"])


@pytest.mark.parametrize("parallel", [False, True], ids=["one process", "xdist"])
def test_what_did_not_start_fails_on_ci_and_says_why(run: Runs, parallel: bool) -> None:
    result = run.with_xdist(SERVER, "true") if parallel else run(SERVER, "true")
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
def test_a_skip_without_a_known_reason_fails_on_ci(run: Runs, source: str) -> None:
    run(source, None).assert_outcomes(skipped=1)
    result = run(source, "true")
    counts = result.parseoutcomes()
    assert counts.get("failed", 0) + counts.get("errors", 0) == 1, counts
    assert "skipped" not in counts
    result.stdout.fnmatch_lines(["*skipped, which CI=true does not allow: nothing here*"])


def test_a_module_that_skips_itself_fails_on_ci(run: Runs) -> None:
    source = "import pytest\npytest.importorskip('no_such_library')\ndef test_it(): pass"
    assert run(source, None).ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result = run(source, "true")
    assert result.ret not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
    result.stdout.fnmatch_lines(["*CI=true does not allow*no_such_library*"])


@pytest.mark.parametrize("kind", ["other_store", "other_scrapy", "other_platform"])
def test_a_test_about_something_else_may_be_skipped_on_ci(run: Runs, kind: str) -> None:
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
