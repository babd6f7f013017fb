"""PyTorch without a trainer: each step of an optimizer inside a run logs the loss that led to it and the learning rate.

There is no fit to stand around a loop that people write themselves, so that nothing is logged without a run of theirs.
Loops of Lightning and Transformers, and of whatever else is logged as one fit, tell by themselves.
"""

import functools
import sys
import threading
import weakref
from types import ModuleType
from typing import Any

from gimbal.faces.client.autolog.session import guarded, loose_run, numbered, numbers_of, params_of
from gimbal.faces.client.runs import ActiveRun

LIBRARY = "torch"
_MARK = "__gimbal_fit__"
_UNSCALED = "_gimbal_unscaled"
# Reading a number off an accelerator waits for all that it has to do: seldom enough not to be felt.
_EVERY_OF_ACCELERATORS = 10


class _Latest(threading.local):
    """The loss that this thread went back from last."""

    loss: Any = None


class _Steps:
    """The steps of one optimizer in one run."""

    def __init__(self, run: ActiveRun, optimizer: Any) -> None:
        self.run = weakref.ref(run)
        self.prefix = numbered(run, LIBRARY)
        self._step = 0
        weights = sum(one.numel() for group in optimizer.param_groups for one in group["params"])
        told = {"optimizer": type(optimizer).__name__, **optimizer.defaults, "parameters": weights}
        run.log(params=params_of(self.prefix, told), tags={"autolog": LIBRARY})

    def note(self, run: ActiveRun, optimizer: Any, loss: Any) -> None:
        """Log a step."""
        self._step += 1
        on_accelerator = loss is not None and loss.device.type != "cpu"
        if on_accelerator and self._step % _EVERY_OF_ACCELERATORS != 1:
            return
        known = _rates(optimizer) if loss is None else {"loss": loss, **_rates(optimizer)}
        if known:
            run.log(numbers_of(f"{self.prefix}/", known), step=self._step)


def patch(module: ModuleType) -> None:
    """Listen to `backward` of tensors and to the steps of all optimizers; `module` is `torch`."""
    torch: Any = module
    if hasattr(torch.Tensor.backward, _MARK):
        return
    when_stepped = sys.modules[torch.optim.Optimizer.__module__].register_optimizer_step_post_hook
    latest = _Latest()
    known: weakref.WeakKeyDictionary[Any, _Steps] = weakref.WeakKeyDictionary()

    def stepped(optimizer: Any, args: Any, words: Any) -> None:
        run = loose_run("pytorch")
        if run is None:
            return
        loss, latest.loss = latest.loss, None
        with guarded("note a step"):
            steps = known.get(optimizer)
            if steps is None or steps.run() is not run:
                steps = known[optimizer] = _Steps(run, optimizer)
            steps.note(run, optimizer, loss)

    _listen_to_losses(torch, latest)
    when_stepped(stepped)


def _listen_to_losses(torch: Any, latest: _Latest) -> None:
    backward, scale = torch.Tensor.backward, torch.amp.GradScaler.scale

    @functools.wraps(backward)
    def noted(self: Any, *args: Any, **words: Any) -> Any:
        if loose_run("pytorch") is not None and self.numel() == 1:
            latest.loss = getattr(self, _UNSCALED, self).detach()
        return backward(self, *args, **words)

    # In mixed precision what goes back is a multiple of the loss.
    @functools.wraps(scale)
    def scaled(self: Any, outputs: Any) -> Any:
        made = scale(self, outputs)
        if made is not outputs and isinstance(made, torch.Tensor):
            setattr(made, _UNSCALED, outputs.detach())
        return made

    setattr(noted, _MARK, True)
    torch.Tensor.backward, torch.amp.GradScaler.scale = noted, scaled


def _rates(optimizer: Any) -> dict[str, Any]:
    """Return the learning rate, or that of each group where there are several."""
    rates = [group.get("lr") for group in optimizer.param_groups]
    named = {"lr": rates[0]} if len(rates) == 1 else {f"lr/{at}": rate for at, rate in enumerate(rates)}
    return {name: rate for name, rate in named.items() if rate is not None}
