"""Every group of operations: written by gimbal.faces.client.generate, not by hand."""

from gimbal.faces.client.generated.assets import Assets
from gimbal.faces.client.generated.audit import Audit
from gimbal.faces.client.generated.blobs import Blobs
from gimbal.faces.client.generated.indexes import Indexes
from gimbal.faces.client.generated.keys import Keys
from gimbal.faces.client.generated.members import Members
from gimbal.faces.client.generated.projects import Projects
from gimbal.faces.client.generated.prompts import Prompts
from gimbal.faces.client.transport import Transport


class Groups:
    """One attribute per group of operations."""

    def __init__(self, transport: Transport) -> None:
        self.assets = Assets(transport)
        self.audit = Audit(transport)
        self.blobs = Blobs(transport)
        self.indexes = Indexes(transport)
        self.keys = Keys(transport)
        self.members = Members(transport)
        self.projects = Projects(transport)
        self.prompts = Prompts(transport)
