"""The verb `gimbal.autolog`."""

from gimbal.faces.client.autolog import boosting, lightning, sklearn, torch, transformers
from gimbal.faces.client.autolog.hooks import when_imported
from gimbal.faces.client.autolog.session import Options

_LIBRARIES = {
    "sklearn.base": sklearn.patch,
    "xgboost": boosting.patch_xgboost,
    "lightgbm": boosting.patch_lightgbm,
    "torch": torch.patch,
    "lightning.pytorch.trainer.trainer": lightning.patch,
    "pytorch_lightning.trainer.trainer": lightning.patch,
    "transformers.trainer": transformers.patch,
}


def autolog(*, scores: bool = True, models: bool = False, disable: bool = False) -> None:
    """Log what training libraries do from now on, into the surrounding run or into one of their own.

    Known are scikit-learn, XGBoost, LightGBM, Lightning, the Trainer of Transformers, and plain PyTorch, of which each step
    of an optimizer is logged, inside a run only. They may be imported already or later. A fit inside another one, of a
    pipeline's steps or a search's candidates, is a part of that. Where MLflow's autolog is on for a library, that is left
    to it. What goes wrong here is told and never reaches the fit. Doing it again changes the options.

    Args:
        scores: Whether to score scikit-learn's models on what they were fitted with, which asks them to predict.
        models: Whether to register scikit-learn's models that were fitted with a DataFrame, by the name of their class.
        disable: Log nothing any more.
    """
    Options.on, Options.scores, Options.models = not disable, scores, models
    if not disable:
        for name, patch in _LIBRARIES.items():
            when_imported(name, patch)
