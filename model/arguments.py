"""The training job's arguments: the platform's own, and one for each of the model's hyperparameters."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

CHECKPOINTS = "checkpoints"
MB = 1_000_000


class ArgumentsError(ValueError):
    """An argument is unknown or makes no sense; the message names it."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, and no usage before it: this is read in a job's log."""
        raise ArgumentsError(message)


def parse(arguments: list[str] | None, hyperparameters: type[Any], description: str) -> argparse.Namespace:
    """The arguments, the model's own as an object `parameters` of the type `hyperparameters`.

    Raises ArgumentsError, and ValueError when `hyperparameters` itself refuses its values.
    """
    parser = _parser(description)
    own = [field.name for field in fields(hyperparameters)]
    types = get_type_hints(hyperparameters)
    for field in fields(hyperparameters):
        option = f"--{field.name.replace('_', '-')}"
        try:
            parser.add_argument(option, type=types[field.name], default=field.default)
        except argparse.ArgumentError:
            raise ArgumentsError(
                f"contract.Hyperparameters: {field.name} is one of the platform's own; give it another name"
            ) from None
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = sorted(name.replace("_", "-") for name in vars(options) if not name.startswith("_"))
        raise ArgumentsError(f"{' '.join(unknown)}: no such hyperparameter; there are {', '.join(known)}")
    options.parameters = hyperparameters(**{name: getattr(options, name) for name in own})
    return options


def _parser(description: str) -> argparse.ArgumentParser:
    parser = _Parser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--epochs", type=_at_least_one, default=12, help="passes over the training images")
    parser.add_argument(
        "--batch-size", type=_at_least_one, default=32, help="images a step, over all processes"
    )
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same model")
    # A batch of small images is too little to share: two threads take as long as one, and on a busy machine
    # they wait for each other (20 times as long was seen). The result also depends on their number.
    parser.add_argument("--threads", type=_at_least_one, default=1, help="CPU cores to train on")
    parser.add_argument(
        "--validation-share",
        type=_share,
        default=Fraction(1, 10),
        help="of the training images, held back where there is no validation split",
    )
    parser.add_argument("--keep-mb", type=_bytes, default=512 * MB, help="images that fit stay decoded")
    parser.add_argument("--shuffle-mb", type=_bytes, default=256 * MB, help="images that wait to be shuffled")
    train = os.environ.get("SM_CHANNEL_TRAIN", "/opt/ml/input/data/train")
    parser.add_argument("--train", type=Path, default=Path(train), help="folder of shards")
    validation = os.environ.get("SM_CHANNEL_VALIDATION")
    parser.add_argument(
        "--validation", type=Path, default=Path(validation) if validation else None, help="folder of shards"
    )
    model = os.environ.get("SM_MODEL_DIR", "/opt/ml/model")
    parser.add_argument("--model-dir", type=Path, default=Path(model), help="folder to write the model into")
    parser.add_argument(
        f"--{CHECKPOINTS}", type=Path, help="folder of checkpoints; default: beside --model-dir, if there"
    )
    # SageMaker's tuning tells its trials what it maximises.
    parser.add_argument("--_tuning_objective_metric", help=argparse.SUPPRESS)
    return parser


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _share(text: str) -> Fraction:
    value = Fraction(str(float(text)))
    if not 0 < value <= Fraction(1, 2):
        raise argparse.ArgumentTypeError("must be above 0 and at most 0.5")
    return value


def _bytes(text: str) -> int:
    value = float(text)
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError("must be a number of megabytes from 0 on")
    return int(value * MB)
