"""The processes that train one model together: torchrun's variables, and the few things they exchange.

Without WORLD_SIZE, or with 1, there is one process and nothing is exchanged.
"""
# torch is in the model's environment (the AWS training image), not in the one that checks types.
# pyright: reportMissingImports=false

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from streaming import Share
from torch import distributed, nn

# Processes wait so long for one that reads its shards or writes a checkpoint.
PATIENCE = timedelta(minutes=30)


class DistributedError(ValueError):
    """torchrun's variables are incomplete; the message names them."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train together."""

    share: Share
    device: torch.device

    @property
    def world(self) -> int:
        """How many there are."""
        return self.share.world

    @property
    def writes(self) -> bool:
        """Whether this one logs and writes: rank 0."""
        return self.share.rank == 0

    def together(self, model: nn.Module) -> nn.Module:
        """The model, with gradients that are averaged over all processes in each backward pass."""
        if self.world == 1:
            return model
        return nn.parallel.DistributedDataParallel(model)

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return self.sums([float(flag)])[0] > 0

    def sums(self, values: list[float]) -> list[float]:
        """The values, added up over all processes."""
        if self.world == 1:
            return values
        together = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(together)
        return together.tolist()

    def share_buffers(self, model: nn.Module) -> None:
        """Give all processes rank 0's buffers (batch norm's running values)."""
        if self.world > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)

    def from_first(self, content: bytes | None) -> bytes | None:
        """What rank 0 has, in every process."""
        if self.world == 1:
            return content
        box = [content]
        distributed.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def processes() -> Generator[Processes]:
    """Join the group that torchrun's variables describe, and leave it at the end. Raises DistributedError."""
    share = Share(_number("RANK", 0), _number("WORLD_SIZE", 1))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", _number("LOCAL_RANK", 0))
        torch.cuda.set_device(device)
    if share.world == 1:
        yield Processes(share, device)
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise DistributedError(
            f"WORLD_SIZE is {share.world} but {', '.join(missing)} is not set; start with torchrun"
        )
    if "SM_NETWORK_INTERFACE_NAME" in os.environ:
        # Gloo would take the address of the host's name, which need not be on the network between hosts.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", os.environ["SM_NETWORK_INTERFACE_NAME"])
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(share, device)
    finally:
        distributed.destroy_process_group()


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise DistributedError(f"{name} is {text!r}; torchrun sets a number")
    return int(text)
