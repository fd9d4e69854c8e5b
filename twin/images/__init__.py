"""Container images without an engine: built from Dockerfiles, kept in ECR, run as plain processes."""


def install() -> None:
    """Make the twin's ECR keep what is pushed, as `docker push` and a pull need it."""
    from twin.images import registry  # the docker command imports this package where there is no server

    registry.install()
