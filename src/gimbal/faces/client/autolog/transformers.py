"""Transformers: each outermost `Trainer.train` logs its arguments, the model's configuration, and what the trainer logs."""

import functools
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from gimbal.faces.client.autolog.session import deeper, fitting, guarded, numbered, numbers_of, outermost, params_of
from gimbal.faces.client.runs import ActiveRun

LIBRARY = "transformers"
_MARK = "__gimbal_fit__"


def patch(module: ModuleType) -> None:
    """Wrap `Trainer.train`; `module` is `transformers.trainer`."""
    trainer_class: Any = module.Trainer
    train = trainer_class.train
    if hasattr(train, _MARK):
        return
    callback = _callback(module.TrainerCallback)  # type: ignore[attr-defined] - imported there for the trainer's own use

    @functools.wraps(train)
    def logged(self: Any, *args: Any, **words: Any) -> Any:
        if not outermost(LIBRARY) or _mlflow_listens(self):
            with deeper():
                return train(self, *args, **words)
        with fitting(LIBRARY) as run:
            if run is None:
                return train(self, *args, **words)
            listener = callback(run)
            self.add_callback(listener)
            try:
                return train(self, *args, **words)
            finally:
                self.remove_callback(listener)

    setattr(logged, _MARK, True)
    trainer_class.train = logged


def _mlflow_listens(trainer: Any) -> bool:
    """Tell whether Transformers' own callback for MLflow is there: two of them would log everything twice."""
    return any(type(one).__name__ == "MLflowCallback" for one in trainer.callback_handler.callbacks)


def _callback(base: Any) -> Any:
    """Return the class of callbacks that listen to a training."""

    class Listener(base):  # type: ignore[misc] - a class that is there only at run time
        """Logs what the trainer tells its callbacks."""

        def __init__(self, run: ActiveRun) -> None:
            self._run = run
            self._prefix = LIBRARY

        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **words: Any) -> None:
            """Log what is trained and how; tokens are left out by the arguments themselves."""
            with guarded("note parameters"):
                self._prefix = numbered(self._run, LIBRARY)
                told = {**args.to_dict(), **_told(model), "max_steps": state.max_steps}
                self._run.log(params=params_of(self._prefix, told), tags={"autolog": LIBRARY})

        def on_log(
            self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **words: Any
        ) -> None:
            """Log what the trainer logs: losses, learning rate, evaluations, speed."""
            with guarded("note metrics"):
                found = numbers_of(f"{self._prefix}/", logs or {})
                if found:
                    self._run.log(found, step=state.global_step)

    return Listener


def _told(model: Any) -> dict[str, Any]:
    if model is None:
        return {}
    told: dict[str, Any] = {"model": type(model).__name__, "parameters": sum(one.numel() for one in model.parameters())}
    config = getattr(model, "config", None)
    if config is not None and hasattr(config, "to_diff_dict"):
        told |= {f"config.{name}": value for name, value in config.to_diff_dict().items()}
    return told
