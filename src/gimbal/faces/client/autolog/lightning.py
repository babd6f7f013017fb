"""Lightning: each outermost `Trainer.fit` logs hyperparameters and what the model logs, at the steps of its optimizers."""

import functools
from types import ModuleType
from typing import Any

from gimbal.faces.client.autolog.session import deeper, fitting, guarded, numbered, numbers_of, outermost, params_of
from gimbal.faces.client.runs import ActiveRun

LIBRARY = "lightning"
# MLflow's name for whoever trains with PyTorch.
_THEIRS = "pytorch"
_MARK = "__gimbal_fit__"
_TOLD_OF_TRAINER = (
    "max_epochs",
    "max_steps",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "precision",
    "num_devices",
)


def patch(module: ModuleType) -> None:
    """Wrap `Trainer.fit`; `module` is `trainer.trainer` of `lightning.pytorch` or of `pytorch_lightning`."""
    trainer_class: Any = module.Trainer
    fit = trainer_class.fit
    if hasattr(fit, _MARK):
        return
    callback = _callback(module.Callback)  # type: ignore[attr-defined] - imported there for the trainer's own use

    @functools.wraps(fit)
    def logged(self: Any, *args: Any, **words: Any) -> Any:
        if not outermost(_THEIRS):
            with deeper():
                return fit(self, *args, **words)
        with fitting(LIBRARY) as run:
            if run is None:
                return fit(self, *args, **words)
            listener = callback(run)
            self.callbacks.append(listener)
            try:
                return fit(self, *args, **words)
            finally:
                if listener in self.callbacks:
                    self.callbacks.remove(listener)

    setattr(logged, _MARK, True)
    trainer_class.fit = logged


def _callback(base: Any) -> Any:
    """Return the class of callbacks that listen to a fit, for one of the two packages of Lightning."""

    class Listener(base):  # type: ignore[misc] - a class that is there only at run time
        """Logs what the trainer tells its callbacks."""

        def __init__(self, run: ActiveRun) -> None:
            super().__init__()
            self._run = run
            self._prefix = LIBRARY
            self._seen: dict[str, Any] = {}
            self._told: dict[str, tuple[int, float]] = {}

        def __reduce__(self) -> Any:
            # A run stays in its process: processes that are spawned from here get a callback that does nothing.
            return base, ()

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            """Log what is trained and how."""
            with guarded("note parameters"):
                self._prefix = numbered(self._run, LIBRARY)
                self._run.log(params=params_of(self._prefix, _told(trainer, pl_module)), tags={"autolog": LIBRARY})

        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            """Log what came at the very end of the epoch before, so that the steps of this one do not show it as theirs."""
            self._note(trainer)

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            """Log as often as the trainer does."""
            if (batch_idx + 1) % max(1, trainer.log_every_n_steps) == 0:
                self._note(trainer)

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            """Log what was validated, but for the trial before the first epoch."""
            if not trainer.sanity_checking:
                self._note(trainer)

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            """Log what is of the epoch."""
            self._note(trainer)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            """Log what came after the last epoch's own calls."""
            self._note(trainer)

        def _note(self, trainer: Any) -> None:
            with guarded("note metrics"):
                known = dict(trainer.callback_metrics)
                # What was not measured anew is the same object; a metric of steps and epochs has two names besides its own.
                new = {
                    name: value
                    for name, value in known.items()
                    if self._seen.get(name) is not value and not {f"{name}_step", f"{name}_epoch"} & known.keys()
                }
                self._seen = known
                step = trainer.global_step
                found = numbers_of(f"{self._prefix}/", new)
                # The last step of an epoch is told of again at the epoch's end.
                found = {name: value for name, value in found.items() if self._told.get(name) != (step, value)}
                self._told |= {name: (step, value) for name, value in found.items()}
                if found:
                    self._run.log(found, step=step)

    return Listener


def _told(trainer: Any, model: Any) -> dict[str, Any]:
    told = dict(getattr(model, "hparams", {}))
    told |= {name: getattr(trainer, name) for name in _TOLD_OF_TRAINER if getattr(trainer, name, None) is not None}
    told["model"] = type(model).__name__
    told["parameters"] = sum(one.numel() for one in model.parameters())
    for optimizer in trainer.optimizers[:1]:
        told["optimizer"] = type(optimizer).__name__
        told |= {f"optimizer.{name}": value for name, value in optimizer.defaults.items()}
    return told
