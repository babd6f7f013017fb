"""PyTorch Lightning under `mlflow.pytorch.autolog()`: epochs, a checkpoint, and a model that is loaded back."""

import sys
import tempfile

import lightning
import mlflow
import mlflow.pytorch
import torch
from facts import tell
from torch.utils.data import DataLoader, TensorDataset


class Line(lightning.LightningModule):
    """A line through points."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what it says."""
        return self.layer(x)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return the loss."""
        loss = torch.nn.functional.mse_loss(self(batch[0]), batch[1])
        self.log("loss", loss, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return how it is trained."""
        return torch.optim.SGD(self.parameters(), lr=0.05)


mlflow.set_experiment(sys.argv[1])
mlflow.pytorch.autolog()
torch.manual_seed(7)
points = torch.randn(64, 2)
loader = DataLoader(TensorDataset(points, points.sum(1, keepdim=True)), batch_size=16)
with tempfile.TemporaryDirectory() as folder:
    trainer = lightning.Trainer(
        max_epochs=3, logger=False, enable_progress_bar=False, log_every_n_steps=2, default_root_dir=folder,
        accelerator="cpu", enable_checkpointing=False,
    )  # fmt: skip
    model = Line()
    with mlflow.start_run() as run:
        trainer.fit(model, loader)
logged = mlflow.last_logged_model()
loaded = mlflow.pytorch.load_model(logged.model_uri)
tell(run=run.info.run_id, model=logged.model_id, same=bool(torch.allclose(loaded(points), model(points))))
