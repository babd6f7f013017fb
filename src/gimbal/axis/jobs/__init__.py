"""Jobs and schedules as people see them: the operations and pages over `engines/compute`, which knows no faces."""

from gimbal.axis.jobs.model import SetSchedule
from gimbal.engines.compute.model import Job, JobError, Schedule

__all__ = ["Job", "JobError", "Schedule", "SetSchedule"]
