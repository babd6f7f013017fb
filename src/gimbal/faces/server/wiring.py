"""Puts the rooms together: which service answers for which type, who listens to which event, per process.

This is the one place that knows every room. The axis owns Protocols, the rings implement them, and here they meet.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from importlib.metadata import version
from typing import Any

from gimbal.axis.assets.lineage import LineageQuery
from gimbal.axis.assets.model import AliasMoved, GatePolicy
from gimbal.axis.assets.registry.service import Registry
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
from gimbal.axis.endpoints.predictions import Predictions
from gimbal.axis.endpoints.service import Endpoints
from gimbal.axis.endpoints.subject import served
from gimbal.axis.evals.http.target import HTTP_SERVICES
from gimbal.axis.evals.recording import AnswerRecorder
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.axis.evals.target import NAMED, TARGETS
from gimbal.axis.gates.service import Gates
from gimbal.axis.ledger.corrections import CostCorrections
from gimbal.axis.monitors.service import Monitors
from gimbal.axis.pricing.prices import Prices
from gimbal.axis.pricing.refreshing import Refreshes, samples
from gimbal.axis.pricing.service import PriceSource
from gimbal.axis.pricing.work import follow_settings
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.service import DEFAULT_PROJECT, Projects
from gimbal.axis.retention.service import Retaining
from gimbal.axis.runs.artifacts.service import Artifacts
from gimbal.axis.runs.candidates.service import LoggedModels
from gimbal.axis.runs.points.keeping import FOLDER
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.service import Runs
from gimbal.axis.runs.studies.service import Studies
from gimbal.axis.scores.asking import Classify, Complete, Embed, Foresee
from gimbal.axis.scores.service import Scores
from gimbal.axis.sql.service import Sql
from gimbal.axis.traces import grpc
from gimbal.axis.traces.corrections import Corrections
from gimbal.axis.traces.deciding import Deciding
from gimbal.axis.traces.facts.model import ExperimentIds
from gimbal.axis.traces.facts.service import TraceFacts
from gimbal.axis.traces.judgements import Judgements
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.priced_calls import PricedCalls
from gimbal.axis.traces.redaction.policies import Redactions
from gimbal.axis.traces.redaction.revealing import Pace
from gimbal.axis.traces.service import Traces, Underway
from gimbal.axis.traces.settling import Settling
from gimbal.axis.traces.tail import Tails
from gimbal.engines.compute.jobs import Jobs, Standing
from gimbal.engines.compute.schedules import Schedules
from gimbal.engines.compute.worker import Worker
from gimbal.engines.console.console import Console, ProjectLink
from gimbal.engines.http.choose import ChoosingClient
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.faces.mlflow.reading import MlflowExperiments
from gimbal.faces.server import builtin, capabilities
from gimbal.faces.server.access import header_secret
from gimbal.faces.server.app import App
from gimbal.faces.server.executors import executor_of
from gimbal.faces.server.metrics import watch_services
from gimbal.faces.server.stores import Stores, blobs_url, link_from_environment, open_stores
from gimbal.generative.gateway.asking import embedded, said
from gimbal.generative.gateway.optimising.service import Optimisations
from gimbal.generative.gateway.optimising.target import CANDIDATES
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.providers.service import ProviderService
from gimbal.generative.gateway.reckoning import reckoned
from gimbal.generative.gateway.recording import Carrying, Recording
from gimbal.generative.gateway.resilience import figures
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.resilience.model import by_settings
from gimbal.generative.gateway.resilience.shadow import Shadows
from gimbal.generative.gateway.route_target import ROUTES
from gimbal.generative.gateway.routes.service import Routes
from gimbal.generative.gateway.target import PROMPTS
from gimbal.generative.guards.service import Policies
from gimbal.generative.knowledge.service import Indexes
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import ConfigurationError
from gimbal.kernel.events import EventBus
from gimbal.kernel.http import is_loopback
from gimbal.kernel.operations import AuditTrail, ProjectGuard
from gimbal.kernel.settings import Settings
from gimbal.predictive.serving.classifying import classified
from gimbal.predictive.serving.evidence import labelled_scores
from gimbal.predictive.serving.host import ModelHost
from gimbal.predictive.serving.pool import ModelPool
from gimbal.predictive.serving.target import MODELS

_ITSELF = Principal(kind="process", id="server", name="gimbal", everywhere=Role.ADMIN)


def build_services(settings: Settings, stores: Stores) -> Services:
    """Return the services of one process over its stores."""
    services = Services()
    clock = SystemClock()
    services.register(Settings, settings)
    services.register(Clock, clock)
    services.register(EventBus, EventBus())
    services.register(Catalog, stores.catalog)
    services.register(Columns, stores.columns)
    services.register(Blobs, stores.blobs)
    services.register(Writer, stores.writer)
    watch_services(services)
    _axis(services, stores, clock)
    _rings(services, settings, stores)
    return services


def _axis(services: Services, stores: Stores, clock: Clock) -> None:
    audit = AuditLog(stores.catalog)
    services.register(AuditLog, audit)
    services.register(AuditTrail, audit)
    projects = Projects(stores.catalog, clock)
    services.register(Projects, projects)
    services.register(ProjectGuard, projects)
    services.register(Standing, projects)
    assets = Assets(stores.catalog, stores.blobs)
    services.register(Assets, assets)
    services.register(Registry, Registry(stores.catalog, assets))
    services.register(LineageQuery, LineageQuery(stores.catalog, assets))
    _work(services, stores, clock)
    prices = Prices(stores.catalog, clock, PricedCalls(stores.columns))
    services.register(Prices, prices)
    services.register(PriceSource, prices)
    refreshes = Refreshes(stores.catalog, clock, prices.snapshot, services.get(Settings).prices)
    services.register(Refreshes, refreshes)
    services.get(Counters).watch(lambda: samples(prices.snapshot, clock))
    services.register(Traces, Traces(stores.columns, stores.writer, prices))
    services.register(TraceFacts, TraceFacts(stores.columns, stores.writer))
    services.register(ExperimentIds, MlflowExperiments())
    services.register(Tails, Tails(stores.columns))
    # The embedded installation has one server.
    name = "embedded" if link_from_environment() else ""
    services.register(SamplingPolicies, SamplingPolicies(stores.catalog, clock, name=name))
    services.register(Redactions, Redactions(stores.catalog, services.get(Settings).redaction))
    services.register(Pace, Pace())
    scores = Scores(stores.columns, stores.writer)
    services.register(Scores, scores)
    services.register(Judgements, scores)
    services.register(Corrections, CostCorrections())
    grace_s = services.get(Settings).retention.grace_s
    services.register(Retaining, Retaining(stores.catalog, stores.columns, stores.blobs, clock, grace_s=grace_s))
    services.register(Sql, Sql(stores.columns, services.get(Settings).sql))
    suites = Suites(assets, stores.blobs)
    services.register(Suites, suites)
    evaluations = Evaluations(stores.catalog, stores.columns, stores.writer, assets, suites)
    services.register(Evaluations, evaluations)
    recorder = AnswerRecorder(stores.columns, stores.writer, assets, suites, evaluations)
    services.register(AnswerRecorder, recorder)
    gates = Gates(stores.catalog, assets)
    services.register(Gates, gates)
    services.register(GatePolicy, gates)
    services.register(Datasets, Datasets(assets, stores.blobs))
    points, artifacts = Points(stores.columns, stores.catalog), Artifacts(stores.catalog, stores.blobs)
    services.register(Points, points)
    services.register(Artifacts, artifacts)
    runs = Runs(catalog=stores.catalog, points=points, artifacts=artifacts, assets=assets)
    services.register(Runs, runs)
    services.register(LoggedModels, LoggedModels(stores.catalog, runs.experiments))
    services.register(Studies, Studies(stores.catalog, runs))


def _rings(services: Services, settings: Settings, stores: Stores) -> None:
    assets = services.get(Assets)
    endpoints = Endpoints(stores.catalog, assets)
    services.get(EventBus).subscribe(AliasMoved, endpoints.on_alias_moved)
    services.register(Endpoints, endpoints)
    services.register(Predictions, Predictions(stores.columns, stores.writer))
    services.register(ModelPool, ModelPool(settings.folder))
    services.register(
        Monitors,
        Monitors(
            catalog=stores.catalog,
            columns=stores.columns,
            writer=stores.writer,
            assets=assets,
            datasets=services.get(Datasets),
            endpoints=endpoints,
            predictions=services.get(Predictions),
            judge=labelled_scores,
        ),
    )
    providers = Providers(settings.gateway, ChoosingClient(), catalog=stores.catalog)
    services.register(Providers, providers)
    services.register(ProviderService, ProviderService(stores.catalog, providers))
    resilience = settings.gateway.resilience
    health = Health(resilience.health)
    services.register(Health, health)
    services.get(Counters).watch(lambda: figures.samples(health))
    services.register(Routes, Routes(by_settings(resilience)))
    services.register(Shadows, Shadows())
    services.register(Policies, Policies())
    services.register(Indexes, Indexes())
    services.register(Optimisations, Optimisations(stores.catalog, assets, services.get(Suites)))
    services.register(Complete, said)
    services.register(Foresee, reckoned)
    services.register(Embed, embedded)
    services.register(Classify, classified)
    TARGETS.add("prompt", PROMPTS)
    TARGETS.add("model", MODELS)
    TARGETS.add("route", ROUTES)
    TARGETS.add("candidate", CANDIDATES)
    TARGETS.add("http", HTTP_SERVICES)
    NAMED.add("endpoint", served)


def _work(services: Services, stores: Stores, clock: Clock) -> None:
    jobs = Jobs(stores.catalog, clock)
    services.register(Jobs, jobs)
    services.register(Schedules, Schedules(stores.catalog, clock, jobs))


async def check_address(settings: Settings, projects: Projects) -> None:
    """Raise ConfigurationError where anybody could ask: on an address of others without a key."""
    if not is_loopback(settings.server.host) and not await projects.has_admin_key():
        raise ConfigurationError(
            f"Gimbal does not listen on {settings.server.host} without a credential.",
            where="server.host",
            kept="everything as it was",
            todo="Start it on 127.0.0.1 first and make a key: `gimbal keys create --name admin --role admin`.",
        )


@contextlib.asynccontextmanager
async def server_app(settings: Settings) -> AsyncGenerator[App]:
    """Yield the application of the server process; close everything in order afterwards."""
    capabilities.load_operations()
    capabilities.load_dialects()
    capabilities.load_pages()
    # Whoever sets a schedule or starts a job does so here; the worker only carries it out.
    capabilities.load_work()
    async with open_stores(settings, owner=True, link=link_from_environment()) as stores:
        services = build_services(settings, stores)
        projects = services.get(Projects)
        await projects.ensure_default()
        await check_address(settings, projects)
        # Known once, they go on to hold while the catalog is away.
        await services.get(Prices).of(DEFAULT_PROJECT)
        await follow_settings(Context(services, _ITSELF, DEFAULT_PROJECT, origin="process"), settings.prices)
        app = App(services, settings)
        builtin.install(app, _console(settings, services))
        deciding = Deciding(stores.columns, services.get(SamplingPolicies), services.get(Counters))
        async with (
            contextlib.aclosing(services.get(Providers)),
            # So that no call waits for the catalog, and /metrics shows what other processes note.
            beside(services.get(Providers).follow, "providers"),
            beside(services.get(Prices).snapshot.follow, "prices"),
            _otlp_grpc(settings, app),
            beside(deciding.run, "deciding"),
            beside(Settling(stores.columns).run, "settling"),
            beside(lambda stop: services.get(Runs).liveness.watch(stop, services.get(Clock)), "liveness"),
            recording(settings, services, carries=True),
            keeping_points(settings, services),
        ):
            yield app


@contextlib.asynccontextmanager
async def beside(run: Callable[[asyncio.Event], Coroutine[Any, Any, None]], name: str) -> AsyncGenerator[None]:
    """Run a task beside the requests until the end; a round under way is let finish."""
    stop = asyncio.Event()
    task = asyncio.create_task(run(stop), name=name)
    try:
        yield
    finally:
        stop.set()
        await task


@contextlib.asynccontextmanager
async def recording(settings: Settings, services: Services, *, carries: bool) -> AsyncGenerator[None]:
    """Keep the journal of calls; a process that `carries` stores what it and others of its folder have put down."""
    folder = settings.folder / "journal"
    carrying = Carrying(services, folder) if carries else None
    journal = Recording(folder, most_bytes=settings.gateway.journal_max_bytes, carrying=carrying)
    journal.open()
    services.register(Recording, journal)
    services.register(Underway, journal)
    services.get(Counters).watch(journal.samples)
    async with contextlib.AsyncExitStack() as stack:
        if carrying is not None:
            services.get(Counters).watch(carrying.samples)
            # What is left is stored after the last call and before the writer closes.
            stack.push_async_callback(carrying.close)
            await stack.enter_async_context(beside(carrying.run, "carrying"))
        stack.callback(journal.close)
        await stack.enter_async_context(beside(journal.run, "journal"))
        yield
        await services.get(Shadows).aclose()


@contextlib.asynccontextmanager
async def keeping_points(settings: Settings, services: Services) -> AsyncGenerator[None]:
    """Keep the journal of metric points, and store what it and those of processes that are gone hold."""
    points = services.get(Points)
    await points.take_over()
    keeping = points.kept_in(settings.folder / FOLDER, most_bytes=settings.runs.journal_max_bytes)
    keeping.open()
    services.get(Counters).watch(keeping.samples)
    async with contextlib.AsyncExitStack() as stack:
        # What is left is stored after the last request and before the stores close.
        stack.push_async_callback(keeping.carry_rest)
        await stack.enter_async_context(beside(keeping.run, "carrying points"))
        stack.callback(keeping.close)
        await stack.enter_async_context(beside(keeping.sync, "journal of points"))
        yield


@contextlib.asynccontextmanager
async def _otlp_grpc(settings: Settings, app: App) -> AsyncGenerator[None]:
    """Serve OTLP over gRPC beside the HTTP port, with the same keys."""
    if not settings.server.grpc_port:
        yield
        return

    async def identify(metadata: dict[str, str]) -> Context:
        principal = await app.access.of_secret(header_secret(metadata))
        project = metadata.get("x-gimbal-project") or app.home(principal)
        return Context(app.services, principal, project, origin="otlp")

    address = f"{settings.server.host}:{settings.server.grpc_port}"
    server = await grpc.serve(address, identify, most_bytes=settings.server.max_body_bytes, room=app.room)
    try:
        yield
    finally:
        await server.stop(grace=5)


def _console(settings: Settings, services: Services) -> Console:
    async def switcher(ctx: Context) -> Sequence[ProjectLink]:
        found = await services.get(Projects).visible_to(ctx.principal)
        return [ProjectLink(slug=p.slug, name=p.title) for p in found if not p.archived]

    return Console(
        version=version("gimbal-ops"), cache=settings.folder / "cache", projects=switcher, clock=services.get(Clock)
    )


@contextlib.asynccontextmanager
async def working(settings: Settings) -> AsyncGenerator[Services]:
    """Yield the services of a process that carries jobs out; close everything in order afterwards."""
    capabilities.load_work()
    async with open_stores(settings, owner=False, link=link_from_environment()) as stores:
        services = build_services(settings, stores)
        await services.get(Prices).of(DEFAULT_PROJECT)
        providers = services.get(Providers)
        async with contextlib.aclosing(providers), beside(providers.follow, "providers"):
            yield services


async def worker_process(settings: Settings, stop: asyncio.Event) -> None:
    """Run jobs and schedules until stopped."""
    async with working(settings) as services:
        # The embedded installation has one worker, which knows its earlier life by this name.
        name = "embedded" if link_from_environment() else f"{socket.gethostname()}-{os.getpid()}"
        at, executor = settings.worker, executor_of(settings, services)
        worker = Worker(services, name=name, concurrency=at.concurrency, grace_s=at.grace_s, executor=executor)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(executor.close)
            await worker.run(stop)


async def model_process(settings: Settings, stop: asyncio.Event) -> None:
    """Keep one child process per model version in use until stopped."""
    blobs = Blobs.open(blobs_url(settings), endpoint=settings.blobs.endpoint)
    await ModelHost(settings.folder, blobs).run(stop)
