"""What a reference to something under test means: a version of an asset, or what another name stands for now."""

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.target import NAMED, TARGETS
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound
from gimbal.kernel.refs import AtAlias, Ref, ResolvedRef


async def subject_of(ctx: Context, assets: Assets, text: str) -> Version:
    """Return the version that a reference to something under test means; raise NotFound or BadInput.

    What an endpoint serves moves while an evaluation runs, so that it is the version which is evaluated: evidence is about
    what was tested, whatever the name means tomorrow.
    """
    ref = Ref.parse(text)
    if ref.kind in NAMED:
        version = await NAMED.get(ref.kind)(ctx, ref)
    else:
        _check_kind(ref.kind)
        version = await assets.resolve(ctx, ref)
    _check_kind(version.kind)
    return version


def asked_as(text: str, version: ResolvedRef) -> str:
    """Return the name by which a version was asked for: an endpoint's, an alias; empty where it is that of the version."""
    ref = Ref.parse(text)
    return "" if ref.asset == version.asset and not isinstance(ref.selector, AtAlias) else str(ref)


def _check_kind(kind: str) -> None:
    if kind not in TARGETS:
        raise NotFound(
            f"There is no {kind!r} among the targets.",
            where="subject",
            todo=f"What can be evaluated: {', '.join(sorted({*TARGETS, *NAMED}))}.",
        )
