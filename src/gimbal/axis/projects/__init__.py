"""Projects: the boundary for members, keys and roles, and the audit log that nobody can rewrite unseen.

`faces/server/access` asks `service.Projects` who a key belongs to; `kernel.operations.invoke` writes to `audit`.
"""

from gimbal.axis.projects.model import ApiKey, AuditCheck, AuditRecord, IssuedKey, Member, Project

__all__ = ["ApiKey", "AuditCheck", "AuditRecord", "IssuedKey", "Member", "Project"]
