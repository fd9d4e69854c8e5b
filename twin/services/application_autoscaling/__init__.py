"""Application Auto Scaling for variants of SageMaker endpoints: targets, target tracking, activities."""

from twin.services.application_autoscaling.registration import install

__all__ = ["install"]
