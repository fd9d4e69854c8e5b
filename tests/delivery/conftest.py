"""The modules here import the CDK: it is started first, as the tests want it."""

import tests.assembly  # noqa: F401
