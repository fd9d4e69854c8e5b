"""SageMaker on one machine: jobs in real processes, a model registry, endpoints that are real servers."""


def install() -> None:
    """Serve SageMaker in the twin."""
    from twin.services.sagemaker import service

    service.install()
