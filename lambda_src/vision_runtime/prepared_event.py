"""What the three functions that prepare a dataset are called with, and the addresses in it."""

from __future__ import annotations

from vision_runtime.manifest import ManifestError
from vision_runtime.prepared import PreparedFolder
from vision_runtime.run_event import EventError, RunEvent
from vision_runtime.s3_uri import S3Uri

CHAMPION = "champion"  # the one line whose holdout is frozen: smoke runs bring datasets of their own


class ManifestEvent(RunEvent):
    """Which manifest a run is about."""

    manifest_uri: str

    def manifest(self) -> S3Uri:
        """The manifest's address. Raises ManifestError when it is none."""
        try:
            return S3Uri.parse(self.manifest_uri)
        except ValueError as error:
            raise ManifestError(f"manifest_uri: {error}") from error


class FolderEvent(ManifestEvent):
    """Which prepared folder a step works on: the one that the plan has answered."""

    folder_uri: str

    def folder(self, artifacts_bucket: str) -> PreparedFolder:
        """The folder. Raises EventError when it is not one of this line."""
        beginning = f"s3://{artifacts_bucket}/{line_folder(self.line)}"
        if not (self.folder_uri.startswith(beginning) and self.folder_uri.endswith("/")):
            raise EventError(
                f"folder_uri: {self.folder_uri!r} must be {beginning}<data id>/, as plan_dataset answers it"
            )
        return PreparedFolder(S3Uri.parse(self.folder_uri))


def line_folder(line: str) -> str:
    """The key under which all prepared data of a model line lies."""
    return f"prepared/{line}/"
