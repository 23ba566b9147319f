"""What RESUME_STEPS may say, and what is said of each mistake in it."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy.exceptions import NotConfigured
from scrapy.utils.test import get_crawler

from scrapy_resume import step
from scrapy_resume.errors import ConfigurationError
from scrapy_resume.settings.table import parse_setting
from scrapy_resume.steps.definition import StepDefinition
from scrapy_resume.steps.plan import StepPlan, load_plan

HERE = __name__


def given(item: Any) -> None:
    """A step without a decorator."""


@step(name="second", needs="x", after="given", consumes=["html"], concurrency=2, version="2")
async def other(item: Any, fetch: Any, extra: int = 1) -> None:
    """A step with options."""


@step
def bare(item: Any) -> None:
    """Decorated without options."""


class HtmlReader:
    """A component without a name."""

    needs = ("html", "url")

    def process_item(self, item: Any, spider: Any) -> None:
        """Do nothing."""


class Configured:
    name = "configured"

    def __init__(self, crawler: Any) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Any) -> Configured:
        return cls(crawler)

    def process_item(self, item: Any) -> None:
        """Do nothing."""


def plan_of(value: Any, fields: tuple[str, ...] = ()) -> StepPlan:
    crawler = get_crawler(settings_dict={"RESUME_STEPS": value})
    return load_plan(parse_setting("RESUME_STEPS", crawler.settings), crawler, fields)


def one(target: Any) -> StepDefinition:
    (found,) = plan_of({target: 1}).steps
    return found


def refused(value: Any, fields: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigurationError) as caught:
        plan_of(value, fields)
    return str(caught.value)


def test_a_function_is_a_step_with_defaults() -> None:
    for found in (one(f"{HERE}.given"), one(given)):
        assert (found.name, found.needs, found.after, found.consumes) == ("given", (), (), ())
        assert (found.max_attempts, found.timeout_seconds, found.version) == (3, 60.0, "")
        assert (found.concurrency, found.rate_limit, found.retry_delay_seconds) == (None,) * 3
        assert not found.is_coroutine
        assert found.takes == ("item",)
    assert one(bare).name == "bare"


def test_options_are_those_of_the_decorator() -> None:
    plan = plan_of({given: 1, other: 2})
    found = plan.by_name["second"]
    assert (found.needs, found.after, found.consumes) == (("x",), ("given",), ("html",))
    assert (found.concurrency, found.version, found.is_limited) == (2, "2", True)
    assert found.is_coroutine
    assert found.takes == ("item", "fetch"), "what has a default and is not known is left alone"
    assert plan.consumed == {"html"}


def test_a_component_is_built_and_named_by_its_class_if_it_has_no_name() -> None:
    found = one(HtmlReader)
    assert (found.name, found.needs) == ("html_reader", ("html", "url"))
    assert found.takes == ("item", "spider")
    built = one(f"{HERE}.Configured")
    assert isinstance(built.component, Configured)
    assert built.component.crawler is not None


def test_an_instance_is_a_step_too() -> None:
    reader = HtmlReader()
    reader.needs = ("html", "own")
    assert one(reader).needs == ("html", "own")


def test_steps_come_in_order_but_behind_what_they_are_after() -> None:
    assert [found.name for found in plan_of({given: 5, bare: 1}).steps] == ["bare", "given"]
    assert [found.name for found in plan_of({other: 1, bare: 2, given: 3}).steps] == [
        "bare",
        "given",
        "second",
    ]


def test_none_switches_a_step_off_and_the_later_entry_of_one_object_counts() -> None:
    plan = plan_of({f"{HERE}.given": 1, given: None, "gone.module.old": None, bare: 1})
    assert [found.name for found in plan.steps] == ["bare"]
    assert plan.off == {"given", "old"}
    assert plan.knows("old")
    assert not plan.knows("older")


def test_text_on_the_command_line_is_a_json_object() -> None:
    plan = plan_of(f'{{"{HERE}.given": "7", "{HERE}.bare": null}}')
    assert [found.order for found in plan.steps] == [7.0]
    assert plan.off == {"bare"}


@pytest.mark.parametrize("value", ["[1]", "nothing", {"given": 1}, {"a.b": "soon"}, {3: 1}, 5])
def test_a_setting_that_is_no_dict_of_steps_is_refused(value: Any) -> None:
    assert 'a dict of steps → order, such as {"shop.steps.photos": 100}' in refused(value)


def test_a_path_that_leads_nowhere_is_refused_with_the_way_out() -> None:
    message = refused({"nowhere.steps.photos": 1})
    assert "RESUME_STEPS names 'nowhere.steps.photos', which cannot be loaded (No module" in message
    assert 'switch the step off: "nowhere.steps.photos": None' in message
    assert "cannot be loaded" in refused({f"{HERE}.nobody": 1})


def test_what_cannot_be_called_is_no_step() -> None:
    assert f"RESUME_STEPS names {HERE}.HERE, which is no step" in refused({f"{HERE}.HERE": 1})


def test_a_class_without_process_item_is_no_step() -> None:
    class Empty:
        pass

    assert "or a class with a method process_item" in refused({Empty: 1})


def test_a_generator_is_no_step() -> None:
    def many(item: Any) -> Any:
        yield {}

    async def more(item: Any) -> Any:
        yield {}

    for function in (many, more):
        assert "yields. A step returns a dict of fields, or None." in refused({function: 1})


def test_an_argument_that_no_step_is_given_is_refused() -> None:
    def asks(item: Any, response: Any) -> None:
        """Do nothing."""

    message = refused({asks: 1})
    assert "takes 'response', but a step is given item, fetch, crawler and spider by" in message


def test_two_steps_of_one_name_are_refused() -> None:
    @step(name="bare")
    def twin(item: Any) -> None:
        """Do nothing."""

    message = refused({bare: 1, twin: 2})
    assert "Two steps have the name 'bare'" in message


def test_an_unknown_step_in_after_is_refused_with_a_guess() -> None:
    assert "is after 'given', but RESUME_STEPS has no step of that name; there are" in refused(
        {other: 1}
    )
    near = step(after="gven")(lambda item: None)
    assert "did you mean 'given'?" in refused({near: 1, given: 2})
    assert plan_of({other: 1, given: None}).off == {"given"}, "one that is switched off is known"


def test_steps_that_wait_for_one_another_are_refused() -> None:
    a = step(name="a", after="c")(lambda item: None)
    b = step(name="b", after="a")(lambda item: None)
    c = step(name="c", after=["b", "given"])(lambda item: None)
    message = refused({a: 1, b: 2, c: 3, given: 4})
    assert "wait for one another: a → c → b → a" in message
    itself = step(name="i", after="i")(lambda item: None)
    assert "is after itself" in refused({itself: 1})


def test_a_field_of_the_items_key_cannot_be_consumed() -> None:
    message = refused({given: 1, other: 2}, ("url", "html"))
    assert "consumes 'html', a field of RESUME_ITEM_KEY" in message


BAD = {
    "max_attempts": [0, -1, 1.5, "3", True, None],
    "timeout": [0, -1, "soon", float("inf"), float("nan"), True],
    "retry_delay": [-1, "x", float("inf")],
    "concurrency": [0, 2.5, "4", True],
    "rate_limit": [100, (0, 60), (100, 0), (100,), ("a", 60), (1.5, 60), (5, True)],
    "needs": [5, {"a": 1}, [""], [1]],
    "after": [5, [None]],
    "consumes": [3],
    "version": [2, None],
    "name": [5, " ", "a\0b", "a\nb"],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in BAD.items() for v in values])
def test_a_bad_value_of_an_option_is_named(name: str, value: Any) -> None:
    class Component:
        def process_item(self, item: Any) -> None:
            """Do nothing."""

    setattr(Component, name, value)
    message = refused({Component: 1})
    assert message.startswith(f"{name} of the step ")
    assert f"is {value!r}, but it must be" in message


def test_an_unknown_option_of_the_decorator_is_an_error_at_once() -> None:
    with pytest.raises(TypeError, match="step\\(\\) has no option 'retries'"):
        step(retries=3)  # type: ignore[call-overload]


def test_a_component_that_is_not_configured_or_cannot_be_built_is_refused() -> None:
    class Unset:
        @classmethod
        def from_crawler(cls, crawler: Any) -> Unset:
            raise NotConfigured("MODEL is not set")

        def process_item(self, item: Any) -> None:
            """Do nothing."""

    class Broken(Unset):
        @classmethod
        def from_crawler(cls, crawler: Any) -> Broken:
            raise OSError("no disk")

    assert "is not configured: MODEL is not set" in refused({Unset: 1})
    assert "cannot be built: OSError: no disk" in refused({Broken: 1})
