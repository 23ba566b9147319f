"""All scenarios, by name."""

from __future__ import annotations

from collections.abc import Callable

from scenarios import failing, interrupted, owners, watching
from scenarios.stage import Stage

SCENARIOS: dict[str, Callable[[Stage], None]] = {
    function.__name__: function
    for function in (
        failing.rate_limited,
        failing.timeouts,
        interrupted.ctrl_c,
        interrupted.power_cut,
        failing.skipped_for_good,
        watching.sql,
        owners.second_instance,
        failing.retry_only_failed,
        watching.dry_run,
        watching.status_at_work,
        watching.side_by_side,
        interrupted.changed_input,
        interrupted.damaged_checkpoint,
        owners.orphaned_workers,
        failing.reset_with_limit,
        watching.progress_by_state,
    )
}
