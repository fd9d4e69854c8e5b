"""The image rules, for training and serving alike: what is accepted, and how it becomes model input."""

from vision_runtime.images.pixels import ModelInput, prepare, to_model_input, to_png
from vision_runtime.images.rules import ImageFault, ImageLimits, ImageRejected

__all__ = ["ImageFault", "ImageLimits", "ImageRejected", "ModelInput", "prepare", "to_model_input", "to_png"]
