"""``/v1/reports/batch``: many cases as one job that outlives vLLM, the gateway and the client."""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from skinr1.serving.envelope import ImageInput, ReportEnvelope, ReportRequest
from skinr1.serving.gateway import journal
from skinr1.serving.gateway.bodies import first_fault, read_object
from skinr1.serving.gateway.faults import Fault, Refused, documented
from skinr1.serving.gateway.metrics import Metrics
from skinr1.serving.gateway.pictures import clean_all
from skinr1.serving.gateway.reports import Reporting, make_report
from skinr1.serving.gateway.settings import GatewaySettings

LOG = logging.getLogger("skinr1.gateway")
MAX_CASES = 1000
MAX_WAITING = 100
LONGEST_PAUSE = 10.0
PURGE_SECONDS = 600.0


class BatchCase(BaseModel):
    """One case under the name that its result will bear."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")]
    request: ReportRequest


class BatchRequest(BaseModel):
    """Cases of one job; their ids differ."""

    model_config = ConfigDict(extra="forbid")

    cases: Annotated[list[BatchCase], Field(min_length=1, max_length=MAX_CASES)]


class BatchState(BaseModel):
    """How far a job is. ``failed`` cases are among the ``finished``."""

    job: str
    state: Literal["waiting", "running", "done"]
    cases: int
    finished: int
    failed: int


class BatchRow(BaseModel):
    """The result of one case: an envelope or an error."""

    id: str
    envelope: ReportEnvelope | None = None
    error: Fault | None = None


class BatchResults(BaseModel):
    """Results in the order of finishing. ``next`` is what to give as ``after`` to go on from here."""

    results: list[BatchRow]
    next: int
    done: bool


class Jobs:
    """The jobs of one gateway, and the worker that goes through them, the oldest first."""

    def __init__(self, reporting: Reporting, metrics: Metrics):
        self.reporting, self.metrics = reporting, metrics
        self.settings = reporting.settings
        self.known: dict[str, journal.Job] = {}
        self._more = asyncio.Event()

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Takes the folder of jobs and reads what is in it. Raises UserError when another gateway has it."""
        with journal.locked(self.settings.jobs):
            self.known = {job.name: job for job in journal.load(self.settings.jobs)}
            self._more.set()
            yield

    async def create(self, owner: str, asked: BatchRequest) -> tuple[journal.Job, bool]:
        """The job of these cases, and whether it is new. It is on the disk when this returns, its images clean.

        Raises:
            Refused: ids repeat, or too many jobs wait.
        """
        ids = [case.id for case in asked.cases]
        if len(set(ids)) != len(ids):
            raise Refused(422, "field", "cases: an id is given twice")
        name = journal.job_name(owner, [case.model_dump(mode="json") for case in asked.cases])
        if name in self.known:
            return self.known[name], False
        if sum(not job.done for job in self.known.values()) >= MAX_WAITING:
            raise Refused(429, "jobs", f"{MAX_WAITING} jobs wait", retry_after=60)
        faults: dict[str, Refused] = {}
        cases = [(case.id, await self._cleaned(case, faults)) for case in asked.cases]
        if name in self.known:  # the same was sent twice at the same time
            return self.known[name], False
        try:
            job = journal.create(self.settings.jobs, owner, name, cases)
        except OSError as error:
            LOG.error("batch job cannot be written: %s", error.strerror)
            raise Refused(503, "disk", "the job cannot be stored", retry_after=60) from None
        for case, refused in faults.items():
            self._add(job, {"id": case, "error": refused.content()["error"]})
        self.known[name] = job
        self._more.set()
        return job, True

    async def _cleaned(self, case: BatchCase, faults: dict[str, Refused]) -> ReportRequest | None:
        images = case.request.images
        try:
            clean = await clean_all([image.data for image in images], self.settings.decode_seconds, None)
        except Refused as refused:
            faults[case.id] = refused
            return None
        pairs = zip(clean, images, strict=True)
        return case.request.model_copy(
            update={"images": tuple(ImageInput(data=picture.png, modality=image.modality) for picture, image in pairs)}
        )

    def find(self, owner: str, name: str) -> journal.Job:
        """Raises Refused when there is none, or it is somebody else's."""
        job = self.known.get(name)
        if job is None or job.owner != owner:
            raise Refused(404, "job", "no such job; finished ones are kept for a while only")
        return job

    def remove(self, job: journal.Job) -> None:
        """Ends a job and forgets it with everything it holds."""
        self.known.pop(job.name, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    async def run(self) -> None:
        """Works until cancelled; a case under way then is done anew at the next start."""
        while True:
            for job in [job for job in self.known.values() if journal.expired(job, self.settings.keep_hours)]:
                self.remove(job)
            self._more.clear()
            for job in [job for job in self.known.values() if not job.done]:
                if job.name in self.known:
                    await self._try(job)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), PURGE_SECONDS)

    async def _try(self, job: journal.Job) -> None:
        try:
            await self._work(job)
        except* OSError as errors:  # the disk is full, say; what is not written is asked again
            LOG.error("batch job cannot be written: %s", errors.exceptions[0])
            await asyncio.sleep(LONGEST_PAUSE)
            self._more.set()

    async def _work(self, job: journal.Job) -> None:
        slots = asyncio.Semaphore(self.settings.batch_concurrency)

        async def one(case: str, request: ReportRequest) -> None:
            try:
                row = await self._row(case, request)
            finally:
                slots.release()
            if job.name in self.known:  # else it was removed meanwhile
                self._add(job, row)

        async with asyncio.TaskGroup() as group:
            for case, request in job.remaining():
                await slots.acquire()
                if job.name not in self.known:
                    return
                group.create_task(one(case, request))

    async def _row(self, case: str, request: ReportRequest) -> dict[str, Any]:
        """The result of a case; while the model is away it waits."""
        pause = 0.5
        while True:
            try:
                envelope = await make_report(request, self.reporting)
            except Refused as refused:
                if refused.status not in (429, 503):
                    return {"id": case, "error": refused.content()["error"]}
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                return {"id": case, "envelope": envelope.model_dump(mode="json")}

    def _add(self, job: journal.Job, row: dict[str, Any]) -> None:
        job.add(row)
        self.metrics.batch.labels("failed" if "error" in row else "given").inc()

    def state(self, job: journal.Job) -> BatchState:
        """How far it is."""
        oldest = next((other for other in self.known.values() if not other.done), None)
        word: Literal["waiting", "running", "done"] = "done" if job.done else "running" if job is oldest else "waiting"
        finished, failed = len(job.finished), sum(job.finished.values())
        return BatchState(job=job.name, state=word, cases=len(job.ids), finished=finished, failed=failed)


def add_routes(app: FastAPI, jobs: Jobs, settings: GatewaySettings) -> None:
    """The operations on jobs. A job is visible to the key that made it, and to no other."""
    tags: Any = ["batch"]
    schema = {"$ref": "#/components/schemas/BatchRequest"}
    body = {"requestBody": {"content": {"application/json": {"schema": schema}}, "required": True}}

    def owner(request: Request) -> str:
        return str(request.scope["state"]["key"])

    @app.post(
        "/v1/reports/batch",
        tags=tags,
        status_code=202,
        response_model=BatchState,
        responses=documented(400, 408, 413, 415, 422, 429, 503),
        openapi_extra=body,
    )
    async def create(request: Request) -> Response:
        """Starts a job. The same cases sent again are the same job, so that a lost answer costs nothing."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "content_type", "send application/json")
        try:
            asked = BatchRequest.model_validate(read_object(await request.body(), settings.max_json_depth))
        except ValidationError as error:
            raise Refused(422, "field", first_fault(error)) from None
        job, _ = await jobs.create(owner(request), asked)
        return JSONResponse(jobs.state(job).model_dump(), 202)

    @app.get("/v1/reports/batch/{job}", tags=tags, responses=documented(404, 422))
    async def state(request: Request, job: str) -> BatchState:
        """How far a job is."""
        return jobs.state(jobs.find(owner(request), job))

    @app.get("/v1/reports/batch/{job}/results", tags=tags, response_model=BatchResults, responses=documented(404, 422))
    async def results(
        request: Request,
        job: str,
        after: Annotated[int, Query(ge=0, description="Results that you have.")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    ) -> Response:
        """Results so far, in the order of finishing, behind the first ``after``: a broken download goes on there."""
        found = jobs.find(owner(request), job)
        rows = found.results(after, limit)
        got = min(after, len(found.finished)) + len(rows)
        content = {"results": rows, "next": got, "done": got == len(found.ids)}
        return JSONResponse(content)

    @app.delete("/v1/reports/batch/{job}", tags=tags, status_code=204, responses=documented(404, 422))
    async def remove(request: Request, job: str) -> Response:
        """Ends a job and removes it with its results."""
        jobs.remove(jobs.find(owner(request), job))
        return Response(status_code=204)
