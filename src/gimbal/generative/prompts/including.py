"""What included prompts mean when files are synced: another file of the sync, or a version that is stored.

An inclusion without a version means the newest: where a file of the same sync is that prompt, it is what the file will be.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.generative.prompts.model import IncludedPrompt, PromptManifest, decode_manifest, includes_of
from gimbal.generative.prompts.stored import StoredPrompts
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, NotFound
from gimbal.kernel.refs import AtVersion, Latest, Ref, ResolvedRef


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read; what it includes is not known yet."""

    path: str
    name: str
    text: str
    content: bytes
    manifest: PromptManifest
    includes: tuple[str, ...]
    """As its tags name them."""

    def problem(self, including: str, message: str, todo: str) -> BadInput:
        """Return the error that names the line of what it includes."""
        tag = re.search(rf"\{{\{{\s*>\s*{re.escape(including)}\s*\}}\}}", self.text)
        line = self.text.count("\n", 0, tag.start()) + 1 if tag else 1
        return BadInput(message, where=f"{self.path}:{line}", kept="nothing", todo=todo)


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """A version that a prompt includes."""

    ref: ResolvedRef
    manifest: PromptManifest


def drafted(written: str, drafts: Mapping[str, Draft], stored: StoredPrompts) -> str | None:
    """Return the name of the draft that an inclusion means, or None when it means a stored version."""
    ref = Ref.parse(written, kind="prompt")
    if ref.name not in drafts:
        return None
    known = stored.prompts.get(ref.name)
    later = isinstance(ref.selector, AtVersion) and ref.selector.number > (known.number if known else 0)
    return ref.name if later or isinstance(ref.selector, Latest) else None


async def meanings(ctx: Context, drafts: Mapping[str, Draft], stored: StoredPrompts) -> dict[str, Meaning]:
    """Return the stored versions that drafts include, each read once; raise BadInput with the line that names it."""
    found: dict[str, Meaning] = {}
    for draft in drafts.values():
        for written in draft.includes:
            if written in found or drafted(written, drafts, stored) is not None:
                continue
            try:
                version: Version = await ctx.get(Assets).resolve(ctx, Ref.parse(written, kind="prompt"))
            except (NotFound, Conflict) as problem:
                raise draft.problem(written, problem.message, "Sync it as well, or name one that there is.") from None
            found[written] = Meaning(ref=version.ref, manifest=decode_manifest(version.manifest))
    return found


def included(draft: Draft, given: Mapping[str, Meaning]) -> Iterator[IncludedPrompt]:
    """Yield what a draft includes, by name; raise BadInput for a prompt that is not one message."""
    for written in sorted(draft.includes):
        meant = given[written]
        foreign = meant.manifest.foreign is not None and bool(meant.manifest.foreign.unread)
        if len(meant.manifest.messages) != 1 or foreign:
            raise draft.problem(
                written,
                f"{meant.ref} has {len(meant.manifest.messages)} messages; a prompt that is included has one."
                if not foreign
                else f"{meant.ref} is another tool's and cannot be included.",
                "Put the text that is shared into a prompt of its own.",
            )
        yield IncludedPrompt(
            name=written,
            ref=str(meant.ref),
            text=meant.manifest.messages[0].content,
            declared=meant.manifest.declared,
            includes=meant.manifest.includes,
        )


def in_order(drafts: Mapping[str, Draft], stored: StoredPrompts) -> list[Draft]:
    """Return the drafts, each behind those that it includes; raise BadInput for one that includes itself."""
    needs = {
        name: [found for written in draft.includes if (found := drafted(written, drafts, stored)) is not None]
        for name, draft in drafts.items()
    }
    done: dict[str, Draft] = {}
    for first in drafts:
        way: list[str] = [first]
        while way:
            name = way[-1]
            missing = next((need for need in needs[name] if need not in done), None)
            if missing is None:
                done[name] = drafts[name]
                way.pop()
            elif missing in way:
                circle = [*way[way.index(missing) :], missing]
                written = next(one for one in drafts[name].includes if drafted(one, drafts, stored) == missing)
                raise drafts[name].problem(
                    written, f"The prompt includes itself: {' > '.join(circle)}.", "Take one of these inclusions out."
                )
            else:
                way.append(missing)
    return list(done.values())


def names_of(manifest: PromptManifest) -> tuple[str, ...]:
    """Return what a prompt includes, as its tags name it."""
    return includes_of(manifest.messages)


def refs_of(draft: Draft, given: Mapping[str, Meaning]) -> Sequence[ResolvedRef]:
    """Return the versions that a draft includes, each once."""
    return tuple({str(given[written].ref): given[written].ref for written in draft.includes}.values())
