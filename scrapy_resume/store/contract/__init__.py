"""The contract: what every store guarantees.

A store keeps jobs. Opening a job for writing gives a ``JobStore``, owned by one
run of one worker, with an *epoch* that fences it: from the moment another run
has taken the job over, everything that it sends is refused with
``LeaseLostError`` and nothing of it is kept.

All writes of a run go through ``JobStore.commit``, one ``Batch`` at a time, in
the order in which the batches were made. A batch is one transaction: it is kept
whole or not at all. So what is in the store is always a prefix of what happened.

Every write keeps the counts of the units that its requests belong to: at any time they are what
counting the requests would give.

All methods may block, except ``mark``, ``unmark`` and ``show_life``. They are called from one
thread at a time, not always the same one.

Errors of every method: ``StoreUnavailableError`` (nothing was kept; calling
again with the same arguments is right), ``LeaseLostError`` (never call again),
``StoreDamagedError``.
"""

from __future__ import annotations

from scrapy_resume.store.contract.batch import (
    Admission,
    Batch,
    Continuation,
    EventReport,
    Finish,
    ItemRecord,
    Leasing,
    MetadataChange,
    Release,
    RunProgress,
    SharingReport,
    Wish,
)
from scrapy_resume.store.contract.changes import Change, ChangeLog, ChangePortion, LogMark
from scrapy_resume.store.contract.committed import (
    Committed,
    Described,
    LeasedRow,
    LogNotes,
    SharingAnswer,
    StartTurn,
)
from scrapy_resume.store.contract.notes import (
    END_OWED,
    EndedUnit,
    EventNote,
    FeedNote,
    HostNote,
    ItemPosition,
    LookedUp,
    SavedState,
    StoredItem,
)
from scrapy_resume.store.contract.pages import (
    Page,
    PageReader,
    Span,
    Stamp,
    UnitPage,
    UnitPlace,
)
from scrapy_resume.store.contract.reader import Reader, Worker
from scrapy_resume.store.contract.session import (
    AskedRun,
    Closing,
    FrontierState,
    JobProgress,
    Opening,
    Orders,
    Recovered,
    Recovery,
    RowIds,
    Session,
    Sharing,
    StartState,
    UndeliveredEvents,
)
from scrapy_resume.store.contract.step_reader import StepReader
from scrapy_resume.store.contract.step_selection import SteeredSteps, StepSelection
from scrapy_resume.store.contract.steps import (
    EarlierResult,
    FetchDone,
    FetchToDo,
    ItemChange,
    LeasedStep,
    NewStep,
    StepAnswer,
    StepAttempt,
    StepRelease,
    StepReport,
    StepWish,
    WantedFetch,
)
from scrapy_resume.store.contract.stores import MARKED_AT_MOST, JobStore, SharedJobStore, Store
from scrapy_resume.store.contract.waits import WaitLimits

__all__ = [
    "END_OWED",
    "MARKED_AT_MOST",
    "Admission",
    "AskedRun",
    "Batch",
    "Change",
    "ChangeLog",
    "ChangePortion",
    "Closing",
    "Committed",
    "Continuation",
    "Described",
    "EarlierResult",
    "EndedUnit",
    "EventNote",
    "EventReport",
    "FeedNote",
    "FetchDone",
    "FetchToDo",
    "Finish",
    "FrontierState",
    "HostNote",
    "ItemChange",
    "ItemPosition",
    "ItemRecord",
    "JobProgress",
    "JobStore",
    "LeasedRow",
    "LeasedStep",
    "Leasing",
    "LogMark",
    "LogNotes",
    "LookedUp",
    "MetadataChange",
    "NewStep",
    "Opening",
    "Orders",
    "Page",
    "PageReader",
    "Reader",
    "Recovered",
    "Recovery",
    "Release",
    "RowIds",
    "RunProgress",
    "SavedState",
    "Session",
    "SharedJobStore",
    "Sharing",
    "SharingAnswer",
    "SharingReport",
    "Span",
    "Stamp",
    "StartState",
    "StartTurn",
    "SteeredSteps",
    "StepAnswer",
    "StepAttempt",
    "StepReader",
    "StepRelease",
    "StepReport",
    "StepSelection",
    "StepWish",
    "Store",
    "StoredItem",
    "UndeliveredEvents",
    "UnitPage",
    "UnitPlace",
    "WaitLimits",
    "WantedFetch",
    "Wish",
    "Worker",
]
