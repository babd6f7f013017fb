"""Every group of operations: written by gimbal.faces.client.generate, not by hand."""

from gimbal.faces.client.generated.assets import Assets
from gimbal.faces.client.generated.audit import Audit
from gimbal.faces.client.generated.backups import Backups
from gimbal.faces.client.generated.blobs import Blobs
from gimbal.faces.client.generated.candidates import Candidates
from gimbal.faces.client.generated.datasets import Datasets
from gimbal.faces.client.generated.decisions import Decisions
from gimbal.faces.client.generated.endpoints import Endpoints
from gimbal.faces.client.generated.evaluations import Evaluations
from gimbal.faces.client.generated.experiments import Experiments
from gimbal.faces.client.generated.functions import Functions
from gimbal.faces.client.generated.gates import Gates
from gimbal.faces.client.generated.guards import Guards
from gimbal.faces.client.generated.http_services import HttpServices
from gimbal.faces.client.generated.indexes import Indexes
from gimbal.faces.client.generated.jobs import Jobs
from gimbal.faces.client.generated.keys import Keys
from gimbal.faces.client.generated.labels import Labels
from gimbal.faces.client.generated.ledger import Ledger
from gimbal.faces.client.generated.members import Members
from gimbal.faces.client.generated.monitors import Monitors
from gimbal.faces.client.generated.optimisations import Optimisations
from gimbal.faces.client.generated.prices import Prices
from gimbal.faces.client.generated.pricing import Pricing
from gimbal.faces.client.generated.projects import Projects
from gimbal.faces.client.generated.prompts import Prompts
from gimbal.faces.client.generated.providers import Providers
from gimbal.faces.client.generated.redaction import Redaction
from gimbal.faces.client.generated.registry import Registry
from gimbal.faces.client.generated.replays import Replays
from gimbal.faces.client.generated.retention import Retention
from gimbal.faces.client.generated.routes import Routes
from gimbal.faces.client.generated.runs import Runs
from gimbal.faces.client.generated.sampling import Sampling
from gimbal.faces.client.generated.schedules import Schedules
from gimbal.faces.client.generated.scores import Scores
from gimbal.faces.client.generated.sessions import Sessions
from gimbal.faces.client.generated.sql import Sql
from gimbal.faces.client.generated.studies import Studies
from gimbal.faces.client.generated.suites import Suites
from gimbal.faces.client.generated.traces import Traces
from gimbal.faces.client.transport import Transport


class Groups:
    """One attribute per group of operations."""

    def __init__(self, transport: Transport) -> None:
        self.assets = Assets(transport)
        self.audit = Audit(transport)
        self.backups = Backups(transport)
        self.blobs = Blobs(transport)
        self.candidates = Candidates(transport)
        self.datasets = Datasets(transport)
        self.decisions = Decisions(transport)
        self.endpoints = Endpoints(transport)
        self.evaluations = Evaluations(transport)
        self.experiments = Experiments(transport)
        self.functions = Functions(transport)
        self.gates = Gates(transport)
        self.guards = Guards(transport)
        self.http_services = HttpServices(transport)
        self.indexes = Indexes(transport)
        self.jobs = Jobs(transport)
        self.keys = Keys(transport)
        self.labels = Labels(transport)
        self.ledger = Ledger(transport)
        self.members = Members(transport)
        self.monitors = Monitors(transport)
        self.optimisations = Optimisations(transport)
        self.prices = Prices(transport)
        self.pricing = Pricing(transport)
        self.projects = Projects(transport)
        self.prompts = Prompts(transport)
        self.providers = Providers(transport)
        self.redaction = Redaction(transport)
        self.registry = Registry(transport)
        self.replays = Replays(transport)
        self.retention = Retention(transport)
        self.routes = Routes(transport)
        self.runs = Runs(transport)
        self.sampling = Sampling(transport)
        self.schedules = Schedules(transport)
        self.scores = Scores(transport)
        self.sessions = Sessions(transport)
        self.sql = Sql(transport)
        self.studies = Studies(transport)
        self.suites = Suites(transport)
        self.traces = Traces(transport)
