"""What a model may have seen of a suite: its examples compared with other suites, prompts and tuning data.

`reading` gets texts out of the files of a version by their media types, whatever kind of asset it is; `comparing` puts a
suite's examples beside them with `engines/text/near`; `service` says which versions, and writes the report, as the job of `work`.
"""

from gimbal.axis.evals.contaminating.model import CheckContamination, ContaminationCheck, ContaminationReport

__all__ = ["CheckContamination", "ContaminationCheck", "ContaminationReport"]
