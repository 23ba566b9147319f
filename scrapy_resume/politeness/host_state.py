"""What is known of one host: its circuit breaker and its ``Retry-After``. No I/O."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec import Struct

from scrapy_resume.store.contract import HostNote
from scrapy_resume.store.contract.waits import OPEN_UNTIL, STORED_AT, WAIT_UNTIL

if TYPE_CHECKING:
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.ports.clock import Timer


class Host(Struct):
    """The state of one host. Times are seconds since the epoch; 0: none."""

    key: str
    failures: int = 0
    """In a row, until the breaker opens."""
    open_until: float = 0.0
    """0: the breaker is closed. In the past: a probe may be sent, or has been sent."""
    probes: int = 0
    """Failed probes since the breaker opened."""
    wait_until: float = 0.0
    """When the host wants to be asked again (``Retry-After``)."""
    probe: Row | None = None
    """The probe that is in the engine."""
    dead: bool = False
    """The host's requests fail without being sent, until the next probe may be sent. This is set by
    a timer, not derived from the clock: the timer may be late, and in the meantime all requests
    that are ready would be sent instead of one probe."""
    timer: Timer | None = None

    @property
    def blocked_until(self) -> float:
        """When its requests may be sent; 0 or in the past: now."""
        return max(self.open_until, self.wait_until)

    def restore(self, record: str) -> None:
        """Take over the state that the store keeps of the host: see ``note``."""
        values = json.loads(record)
        self.open_until = values[OPEN_UNTIL]
        self.probes = values["probes"]
        self.wait_until = values[WAIT_UNTIL]

    def close(self) -> None:
        """Forget all failures and waits, so that requests are sent again."""
        self.failures = self.probes = 0
        self.open_until = self.wait_until = 0.0
        self.probe = None

    def note(self, now: float) -> HostNote:
        """The state that the store keeps of the host, and when it was so."""
        values = {
            OPEN_UNTIL: self.open_until,
            "probes": self.probes,
            WAIT_UNTIL: self.wait_until,
            STORED_AT: now,
        }
        return HostNote(self.key, json.dumps(values))
