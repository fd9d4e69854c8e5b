"""The modules here import the CDK: it is started first, as the tests want it. Workflows share one twin."""

import tests.assembly
from tests.constructs.workflow_bench import bench, engine
from tests.twin.conftest import twin

__all__ = ["bench", "engine", "tests", "twin"]
