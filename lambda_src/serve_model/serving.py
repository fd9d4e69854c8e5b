"""What the function answers: predictions as endpoints give them, or why it refuses what it was asked."""
# The package takes predictor.py and spec.py from the model's code.
# pyright: reportMissingImports=false

from __future__ import annotations

import base64
from typing import Any

from models import Models
from predictor import predictions


def answer(models: Models, event: dict[str, Any]) -> dict[str, Any]:
    """The answer to one event, as the handler describes them. Raises ModelMissing or ModelBroken."""
    name = str(event["model"])
    predictor = models.get(name)
    if "images" not in event:
        return {"loaded": name}
    try:
        images = predictor.images(base64.b64decode(event["images"], validate=True))
    except ValueError as error:
        return {"refused": str(error)}
    return predictions(predictor, images, event.get("origin", {}))
