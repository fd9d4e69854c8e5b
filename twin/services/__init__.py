"""The AWS services that the twin brings itself."""
