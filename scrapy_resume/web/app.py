"""The application: which function answers which path."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from scrapy_resume.errors import (
    ConfigurationError,
    JobError,
    JobNotFoundError,
    ResumeError,
    StoreUnavailableError,
)
from scrapy_resume.model import JobKey
from scrapy_resume.web import api, job_pages, jobs_page, row_pages, step_pages, work_pages
from scrapy_resume.web.actions import ACTIONS, Who, act
from scrapy_resume.web.answers import Answer, Answers
from scrapy_resume.web.ask import Ask, key_of
from scrapy_resume.web.board import Board
from scrapy_resume.web.documents import item_lines
from scrapy_resume.web.expected import CountDiffersError
from scrapy_resume.web.job_frame import Shown
from scrapy_resume.web.live import StreamAnswer, Streams
from scrapy_resume.web.look import Pages, static_files
from scrapy_resume.web.metrics import exposition
from scrapy_resume.web.query import QueryError, object_of
from scrapy_resume.web.security import Guard
from scrapy_resume.web.words import shown

logger = logging.getLogger("scrapy_resume.web")

PAGES: Final[dict[str, Callable[[Ask], Shown]]] = {
    "/": jobs_page.jobs,
    "/jobs/{id}": job_pages.job,
    "/jobs/{id}/requests": row_pages.requests,
    "/jobs/{id}/requests/{row}": row_pages.request,
    "/jobs/{id}/failures": row_pages.failures,
    "/jobs/{id}/units": row_pages.units,
    "/jobs/{id}/items": row_pages.items,
    "/jobs/{id}/items/{row}": row_pages.item,
    "/jobs/{id}/steps": step_pages.steps,
    "/jobs/{id}/steps/{row}": step_pages.stepped_item,
    "/jobs/{id}/workers": work_pages.workers,
    "/jobs/{id}/events": work_pages.events,
}
"""Pages for people, by path."""

BODY_BYTES: Final = 1 << 20
"""Of a POST, at most."""
DOWNLOADS_AT_MOST: Final = 2
"""At a time."""
BODY_SECONDS: Final = 10.0
"""In which it has to be there."""


class Dashboard:
    """The dashboard of a store, as an ASGI application."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._answers = Answers()
        self._downloads = 0
        self.streams = Streams(board, self._answers.forget)
        self._pages = Pages(board.base, read_only=board.read_only)
        routes = [
            Route("/healthz", self._health),
            Route("/metrics", self._metrics),
        ]
        if not board.metrics_only:
            routes += self._routes()
        inner = Starlette(
            routes=routes, exception_handlers={404: self._nowhere, 405: self._nowhere}
        )
        self._app = Guard(inner, board, self._login)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        await self._app(scope, receive, send)

    def _routes(self) -> list[Route]:
        pages = [Route(path, partial(self._page, show)) for path, show in PAGES.items()]
        questions = [
            Route(f"/api/jobs/{{id}}/{name}", partial(self._document, ask))
            for name, ask in api.QUESTIONS.items()
        ]
        actions = [
            Route(f"/api/jobs/{{id}}/{name}", partial(self._action, name), methods=["POST"])
            for name in ACTIONS
        ]
        return [
            *pages,
            Route("/api/jobs", partial(self._document, api.checked(api.jobs, ()))),
            Route("/api/jobs/{id}", partial(self._document, api.checked(api.job, ()))),
            *questions,
            *actions,
            Route("/jobs/{id}/items.jsonl", self._download),
            Route("/stream", self._stream),
            Route("/jobs/{id}/stream", self._stream),
            Route("/static/{name}", self._static),
        ]

    # pages and documents

    async def _page(self, show: Callable[[Ask], Shown], request: Request) -> Response:
        def work(ask: Ask) -> Answer:
            name, context = show(ask)
            return self._rendered(name, 200, now=ask.now, **context)

        return await self._answered(request, work, self._error_page)

    async def _document(self, answer: Callable[[Ask], Answer], request: Request) -> Response:
        return await self._answered(request, answer, _error_document)

    async def _metrics(self, request: Request) -> Response:
        accept = request.headers.get("accept", "")
        return await self._answered(
            request, lambda ask: exposition(ask, accept), _error_document, accept
        )

    async def _answered(
        self,
        request: Request,
        work: Callable[[Ask], Answer],
        refuse: Callable[[int, str], Answer],
        variant: str = "",
    ) -> Response:
        key = (request.url.path, request.url.query, variant)
        answer = await self._answers.of(key, lambda: self._worked_out(request, work, refuse))
        headers = {**dict(answer.headers), "ETag": answer.etag}
        if answer.status == 200 and request.headers.get("if-none-match") == answer.etag:
            return Response(status_code=304, headers=headers)
        return Response(answer.body, answer.status, headers, answer.media_type)

    def _worked_out(
        self,
        request: Request,
        work: Callable[[Ask], Answer],
        refuse: Callable[[int, str], Answer],
    ) -> Answer:
        """In a thread: the answer, or what is said in its place."""
        try:
            reports = self._board.open_reports()
            ask = Ask(self._board, reports, dict(request.path_params), request.query_params)
            with reports.together():
                return work(ask)
        except CountDiffersError as error:
            return api.answer_of({"error": str(error), "requests": error.found}, status=409)
        except (ResumeError, OSError, ValueError) as error:
            return refuse(_status_of(error), " ".join(str(error).split()))
        except Exception:
            logger.exception("%s could not be answered", request.url.path)
            return refuse(500, "This is a fault of the dashboard; its log says more.")

    # actions

    async def _action(self, action: str, request: Request) -> Response:
        if self._board.read_only:
            return _json_response(403, "this dashboard is read-only")
        try:
            body = object_of(await asyncio.wait_for(_body_of(request), BODY_SECONDS))
        except (QueryError, TimeoutError, asyncio.TimeoutError) as error:
            return _json_response(400, str(error) or "the body did not arrive in time")
        client = request.client.host if request.client else "unknown"
        who = Who(client, request.headers.get("x-forwarded-user", "")[:100] or None)
        answer = await self._answers.of_action(
            lambda: self._worked_out(
                request, lambda ask: api.answer_of(act(ask, action, body, who)), _error_document
            )
        )
        self._answers.forget()
        return Response(answer.body, answer.status, dict(answer.headers), answer.media_type)

    # streams, files, health

    async def _stream(self, request: Request) -> ASGIApp | Response:
        if self.streams.is_full:
            busy = _json_response(503, "there are too many open streams")
            busy.headers["Retry-After"] = "30"
            return busy
        if "id" not in request.path_params:
            return StreamAnswer(self.streams, None)
        found: list[JobKey] = []

        def find(ask: Ask) -> Answer:
            found.append(ask.key())
            ask.document(found[0])
            return Answer(b"", "")

        answer = await self._answers.in_thread(
            lambda: self._worked_out(request, find, _error_document)
        )
        if answer.status != 200:
            return Response(answer.body, answer.status, media_type=answer.media_type)
        return StreamAnswer(self.streams, found[0])

    async def _download(self, request: Request) -> Response:
        """All items of a job as JSON Lines, in whatever time the client takes."""
        reports = self._board.open_reports()
        try:
            key = key_of(reports, request.path_params["id"])
            reports.summary(key)
        except ResumeError as error:
            return _plain(self._error_page(_status_of(error), str(error)))
        if self._downloads >= DOWNLOADS_AT_MOST:
            return _plain(self._error_page(503, "Two downloads are under way: try again later."))
        self._downloads += 1

        async def lines() -> AsyncIterator[bytes]:
            try:
                async for part in iterate_in_threadpool(item_lines(reports, key)):
                    yield part
            finally:
                self._downloads -= 1

        name = f"{request.path_params['id']}.jsonl"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(lines(), 200, headers, "application/x-ndjson")

    async def _static(self, request: Request) -> Response:
        file = static_files().get(request.path_params["name"])
        if file is None:
            return _json_response(404, "there is no such file")
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(file.body, 200, headers, file.media_type)

    async def _health(self, request: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    # what goes wrong

    async def _login(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        answer = self._rendered(
            "login", 401, title="Token", was_wrong="token" in request.query_params
        )
        await _plain(answer)(scope, receive, send)

    async def _nowhere(self, request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        why = "There is no such page." if status == 404 else "This path knows another method."
        if request.url.path.startswith("/api/") or request.method == "POST":
            return _json_response(status, why)
        return _plain(self._error_page(status, why))

    def _error_page(self, status: int, why: str) -> Answer:
        return self._rendered("error", status, title=str(status), status=status, why=why)

    def _rendered(self, template: str, code: int, /, **context: Any) -> Answer:
        body = self._pages.render(template, **context)
        return Answer(body, "text/html; charset=utf-8", code)


def _status_of(error: Exception) -> int:
    if isinstance(error, JobNotFoundError):
        return 404
    if isinstance(error, StoreUnavailableError):
        return 503
    if isinstance(error, (ConfigurationError, ValueError)):
        return 400
    return 409 if isinstance(error, (JobError, ResumeError)) else 503


def _error_document(status: int, why: str) -> Answer:
    return api.answer_of({"error": shown(why)}, status=status)


def _json_response(status: int, why: str) -> Response:
    return Response(json.dumps({"error": shown(why)}), status, media_type="application/json")


def _plain(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type=answer.media_type)


async def _body_of(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES:
            raise QueryError("the body is too long")
        parts.append(part)
    return b"".join(parts)
