"""Suites: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import Example
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.faces.client.group import Group
from gimbal.kernel.refs import Ref


class Suites(Group):
    """Examples with the scorers that judge answers to them."""

    def add(
        self, ref: Ref | str, *, examples: list[Example], note: str | UnsetType = UNSET, project: str | None = None
    ) -> Version:
        """Add examples to the newest version of a suite, which makes its next version; scorers stay.

        Args:
            ref: Reference such as model:flights/delay@production.
            examples: At least one; none has the id of one that is there.
            note: A remark for people.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/suites/{ref}/examples",
            Version,
            path={"project": project, "ref": ref},
            body={"examples": examples, "note": note},
        )

    def create(
        self,
        *,
        name: str,
        examples: list[Example],
        scorers: list[str | ScorerSetting],
        repeats: int | UnsetType = UNSET,
        task: str | UnsetType = UNSET,
        note: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> Version:
        """Store a suite of examples as a version; the same examples again are the same version.

        Args:
            name: Name of the asset: `help/questions`.
            examples: At least one; ids are unique.
            scorers: The scorers to apply: names, or names with parameters and a name of the suite's own.
            repeats: How often each example is asked; each time counts as one answer, not as one example.
            task: What to call where nobody says otherwise: `prompt:help/answer@production`.
            note: A remark for people.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/suites",
            Version,
            path={"project": project},
            body={
                "name": name,
                "examples": examples,
                "scorers": scorers,
                "repeats": repeats,
                "task": task,
                "note": note,
            },
        )

    def examples(self, ref: Ref | str, *, project: str | None = None) -> list[Example]:
        """List the examples of a suite version.

        Args:
            ref: Reference such as model:flights/delay@production.
        """
        return self._transport.call(
            "GET", "/projects/{project}/suites/{ref}/examples", list[Example], path={"project": project, "ref": ref}
        )
