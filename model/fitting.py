"""The platform's training loop: epochs over the splits, measured, saved after each, and resumed."""
# torch is in the model's environment (the AWS training image), not in the one that checks types.
# pyright: reportMissingImports=false

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import contract
import numpy as np
import torch
from checkpoints import Checkpoints, state_of
from distributed import Processes
from splits import Splits
from streaming import Batch, Split, batch_sizes
from torch import nn


class FitError(ValueError):
    """Training cannot begin or go on; the message says why and what to change."""


class StoppedError(Exception):
    """Training was asked to stop; `epoch` is the one that was not finished."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"stopped in epoch {epoch}")
        self.epoch = epoch


@dataclass(frozen=True)
class Settings:
    """How long, in what portions (images a batch, over all processes), and from which seed."""

    epochs: int
    batch_size: int
    seed: int


@dataclass(frozen=True)
class EpochReport:
    """Mean loss and share of right answers: on the augmented training images while they were learned, and on
    the validation images afterwards."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float

    def line(self, epochs: int) -> str:
        """The log line that the training job's metric definitions read."""
        return (
            f"epoch={self.epoch}/{epochs} "
            f"train_loss={self.train_loss:.5f} train_accuracy={self.train_accuracy:.5f} "
            f"validation_loss={self.validation_loss:.5f} validation_accuracy={self.validation_accuracy:.5f}"
        )


class Fitting:
    """One model being trained; `model` is complete when `epochs` has ended."""

    def __init__(
        self,
        model: nn.Module,
        splits: Splits,
        settings: Settings,
        parameters: contract.Hyperparameters,
        processes: Processes,
    ) -> None:
        """Raises FitError when a batch is too small to be shared, or the team's optimiser refuses."""
        self.model = model.to(processes.device)
        self._splits, self._settings, self._parameters = splits, settings, parameters
        self._processes = processes
        self._sizes = batch_sizes(splits.train.count, settings.batch_size)
        if min(self._sizes) < processes.world:
            raise FitError(
                f"{processes.world} processes cannot share a batch of {min(self._sizes)} images; "
                "use fewer instances, a larger batch-size, or more images"
            )
        steps = settings.epochs * len(self._sizes)
        self._optimiser, self._schedule = contract.make_optimiser(self.model, parameters, steps)
        self._done = 0

    def resume(self, checkpoints: Checkpoints) -> int:
        """Go on after the last epoch that was saved; its number, 0 when there is none."""
        content = self._processes.from_first(checkpoints.newest() if self._processes.writes else None)
        if content is not None:
            state = state_of(content)
            self.model.load_state_dict(state["model"])
            self._optimiser.load_state_dict(state["optimiser"])
            if self._schedule is not None:
                self._schedule.load_state_dict(state["schedule"])
            self._done = state["epoch"]
        return self._done

    def epochs(
        self, checkpoints: Checkpoints, stopping: Callable[[], bool] = lambda: False
    ) -> Iterator[EpochReport]:
        """Train the epochs that are left, each of them saved when it is reported.

        Raises StoppedError after the step in which `stopping` became true in any process, FitError when the
        loss is not a number, and ShardError.
        """
        learner = self._processes.together(self.model)
        for epoch in range(self._done + 1, self._settings.epochs + 1):
            trained = self._train(learner, epoch, stopping)
            report = EpochReport(epoch, *trained, *self._measure(epoch, stopping))
            if not (math.isfinite(report.train_loss) and math.isfinite(report.validation_loss)):
                raise FitError(
                    f"the loss is not a number after epoch {epoch}; a smaller learning rate may help"
                )
            if self._processes.writes:
                checkpoints.save(self._state(epoch))
            yield report

    def _train(self, learner: nn.Module, epoch: int, stopping: Callable[[], bool]) -> tuple[float, float]:
        settings, world = self._settings, self._processes.world
        self.model.train()
        generator = self._seed(epoch)
        totals = torch.zeros(2, dtype=torch.float64, device=self._processes.device)
        split = self._splits.train
        for batch in split.epoch(self._sizes, self._processes.share, f"{settings.seed}/{epoch}"):
            images, labels = self._on_device(batch)
            logits = learner(contract.augment(images, generator))
            losses = contract.losses(logits, labels, self._parameters)
            self._optimiser.zero_grad()
            # Gradients are averaged over processes, whose shares need not be equal: scaled like this the
            # average is the gradient of the mean over the whole batch.
            (losses.sum() * (world / batch.total)).backward()
            self._optimiser.step()
            if self._schedule is not None:
                self._schedule.step()
            totals += _sums(losses.detach(), logits, labels)
            if self._processes.any(stopping()):
                raise StoppedError(epoch)
        return self._means(totals, split)

    def _measure(self, epoch: int, stopping: Callable[[], bool]) -> tuple[float, float]:
        self._processes.share_buffers(self.model)
        self.model.eval()
        totals = torch.zeros(2, dtype=torch.float64, device=self._processes.device)
        split = self._splits.validation
        with torch.no_grad():
            for batch in split.epoch(
                batch_sizes(split.count, self._settings.batch_size), self._processes.share, None
            ):
                if len(batch.labels):
                    images, labels = self._on_device(batch)
                    logits = self.model(images)
                    totals += _sums(contract.losses(logits, labels, self._parameters), logits, labels)
                if self._processes.any(stopping()):
                    raise StoppedError(epoch)
        return self._means(totals, split)

    def _on_device(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        device = self._processes.device
        return torch.from_numpy(batch.images).to(device), torch.from_numpy(batch.labels).to(device)

    def _means(self, totals: torch.Tensor, split: Split) -> tuple[float, float]:
        loss, right = self._processes.sums(totals.tolist())
        return loss / split.count, right / split.count

    def _seed(self, epoch: int) -> torch.Generator:
        """All random states of an epoch follow from seed, number and rank: a checkpoint needs no others."""
        text = f"{self._settings.seed}/{epoch}/{self._processes.share.rank}"
        dice = random.Random(text)  # noqa: S311
        random.seed(dice.getrandbits(64))
        np.random.seed(dice.getrandbits(32))
        torch.manual_seed(dice.getrandbits(63))
        return torch.Generator(self._processes.device).manual_seed(dice.getrandbits(63))

    def _state(self, epoch: int) -> dict[str, Any]:
        return {
            "epoch": epoch,
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": None if self._schedule is None else self._schedule.state_dict(),
        }


def _sums(losses: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    right = (logits.argmax(dim=1) == labels).sum()
    return torch.stack([losses.double().sum(), right.double()])
