"""Runs one build from its record: sources, commands, artifacts, reports, and the status that comes of it."""

import logging
import platform
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twin import config, glue
from twin.services.codebuild import environment, slots, sources
from twin.services.codebuild.buildspec import Buildspec, BuildspecError, Phase, parse
from twin.services.codebuild.files import BuildCache
from twin.services.codebuild.job import PipelineJob
from twin.services.codebuild.log import BuildLog
from twin.services.codebuild.phases import PhaseFailed, Phases
from twin.services.codebuild.report_store import ReportStore
from twin.services.codebuild.shell import Shell, Stopped, TimedOut
from twin.services.codebuild.uploads import Uploader

log = logging.getLogger("twin.codebuild")


class BuildRun:
    """One build that is running, or was."""

    def __init__(
        self,
        record: dict[str, Any],
        variables: list[dict[str, str]],
        job: PipelineJob | None,
        reports: ReportStore,
        changed: Callable[[dict[str, Any]], None],
    ) -> None:
        """`record` is kept up to date; `changed` is told of every new build status."""
        self.record, self._variables, self._job, self._reports = record, variables, job, reports
        self._changed = changed
        self._settings = config.current()
        self._region = glue.current_scope().region
        name = record["id"].replace(":", "-")
        logs = record["logs"]
        self.log_path = self._settings.folder("logs", "builds") / f"{name}.log"
        self._log = BuildLog(self.log_path, logs.get("groupName"), logs.get("streamName", ""))
        self._phases = Phases(record, self._log)
        self._shell: Shell | None = None
        self._stop_asked = threading.Event()
        self.finished = threading.Event()

    def start(self) -> None:
        """Run in a thread of its own, in the caller's scope."""
        self._phases.point("SUBMITTED")
        self._phases.point("QUEUED")
        self._changed(self.record)
        glue.spawn(self._run, name=f"build-{self.record['projectName']}")

    def stop(self) -> None:
        """End the build's processes; its status becomes STOPPED."""
        self._stop_asked.set()
        if self._shell is not None:
            self._shell.stop()

    def _run(self) -> None:
        status = "FAULT"
        folder = slots.take(self._settings.folder("codebuild", "work"), self.record)
        try:
            status = self._execute(folder)
        except Stopped:
            status = "STOPPED"
        except TimedOut:
            status = "TIMED_OUT"
        except PhaseFailed:
            status = "FAILED"
        except Exception:
            log.exception("build %s failed in the twin itself", self.record["id"])
        finally:
            if self._shell is not None:
                self._shell.end()
            slots.give_back(folder)
            self._phases.point("FINALIZING")
            self._phases.point("COMPLETED")
            self._log.say(f"Build {status}")
            self._log.close()
            self.record |= {"buildStatus": status, "buildComplete": True, "endTime": time.time()}
            self.finished.set()
            self._changed(self.record)

    def _execute(self, folder: Path) -> str:
        deadline = time.monotonic() + self.record["timeoutInMinutes"] * 60
        with self._phases.phase("PROVISIONING"):
            asked = self.record["environment"]
            self._log.say(
                f"{asked['type']}, {asked['computeType']} and image {asked['image']} asked for; "
                f"the commands run on this machine ({platform.machine()})"
            )
            credentials = self._credentials()
        with self._phases.phase("DOWNLOAD_SOURCE"):
            source, others = sources.fetch(self.record, self._job, folder, credentials, self._region)
            buildspec = self._buildspec(source, credentials)
            cache = self._cache(buildspec, source, folder)
            self._say_moved("Restored from the cache", cache.restore())
            self._shell = Shell(
                folder / "shell",
                source,
                self._environment(buildspec, credentials, folder, source, others),
                self._log,
                program=buildspec.shell,
                deadline=deadline,
            )
        uploader = Uploader(self.record, source, credentials, self._region, self._log)
        try:
            return self._phase_by_phase(buildspec, self._shell, uploader)
        finally:
            self._say_moved("Kept in the cache", cache.keep())

    def _credentials(self) -> dict[str, str]:
        role = self.record["serviceRole"]
        session = f"AWSCodeBuild-{self.record['id'].rsplit(':', 1)[-1]}"
        try:
            return glue.service_session(role, "codebuild.amazonaws.com", session, self._project_arn())
        except glue.TrustError as fault:
            message = f"CodeBuild is not authorized to perform: sts:AssumeRole on {role}: {fault}"
            raise PhaseFailed("ACCESS_DENIED", message) from fault

    def _project_arn(self) -> str:
        return self.record["arn"].split(":build/")[0] + f":project/{self.record['projectName']}"

    def _buildspec(self, source: Path, credentials: Mapping[str, str]) -> Buildspec:
        text = sources.buildspec_text(
            self.record["source"].get("buildspec"), source, credentials, self._region
        )
        try:
            buildspec = parse(text)
        except BuildspecError as fault:
            raise PhaseFailed("YAML_FILE_ERROR", str(fault)) from fault
        for name, version in buildspec.runtime_versions.items():
            self._log.say(f"runtime-versions: {name} {version} asked for; the machine's own is used")
        return buildspec

    def _cache(self, buildspec: Buildspec, source: Path, folder: Path) -> BuildCache:
        settings = self.record["cache"]
        wanted = settings.get("type", "NO_CACHE") != "NO_CACHE"
        # A namespace is shared by all projects that name it; without one a project keeps to itself.
        owner = settings.get("cacheNamespace") or folder.name.rsplit("-", 1)[0]
        cache = BuildCache(folder.parent / f"{owner}-cache", source, buildspec.cache_paths if wanted else ())
        for path in cache.ignored:
            self._log.say(
                f"cache path {path} is not a folder of the source: not kept (HOME is kept as a whole)"
            )
        return cache

    def _say_moved(self, what: str, folders: list[str]) -> None:
        if folders:
            self._log.say(f"{what}: {', '.join(folders)}")

    def _environment(
        self,
        buildspec: Buildspec,
        credentials: dict[str, str],
        folder: Path,
        source: Path,
        others: Mapping[str, Path],
    ) -> dict[str, str]:
        try:
            declared = environment.declared(buildspec, self._variables, credentials, self._region)
        except environment.VariableError as fault:
            raise PhaseFailed("CLIENT_ERROR", str(fault)) from fault
        values = {
            **environment.of_the_machine(self._settings, slots.temporary(folder)),
            **environment.of_aws(self._settings, self._region, credentials),
            **environment.of_codebuild(self.record, source, others),
            **declared,
        }
        unusable = [name for name in values if not name.isidentifier() or not name.isascii()]
        for name in unusable:
            self._log.say(f"variable {name!r} cannot be set in a shell: left out")
        return {name: value for name, value in values.items() if name not in unusable}

    def _phase_by_phase(self, buildspec: Buildspec, shell: Shell, uploader: Uploader) -> str:
        failed = False
        for name in ("INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD"):
            phase = buildspec.phases[name.lower()]
            if self._stop_asked.is_set():
                raise Stopped
            try:
                self._commands(name, phase, shell)
            except PhaseFailed:
                shell.set_variable("CODEBUILD_BUILD_SUCCEEDING", "0")
                if phase.on_failure == "CONTINUE":
                    continue
                if name in ("INSTALL", "PRE_BUILD") or phase.on_failure == "ABORT":
                    raise
                failed = True  # POST_BUILD runs after a failed BUILD, as on AWS
        exported = shell.variables(buildspec.exported_variables)
        self.record["exportedEnvironmentVariables"] = [
            {"name": name, "value": value} for name, value in exported.items()
        ]
        with self._phases.phase("UPLOAD_ARTIFACTS"):
            uploader.reports(buildspec, self._reports)
            if not failed:
                uploader.artifacts(buildspec, self._job)
        return "FAILED" if failed else "SUCCEEDED"

    def _commands(self, name: str, phase: Phase, shell: Shell) -> None:
        with self._phases.phase(name):
            failure = self._attempt(phase, shell)
            for attempt in range(phase.retries):
                if failure is None:
                    break
                self._log.say(f"Phase {name} failed, running it again ({attempt + 1} of {phase.retries})")
                failure = self._attempt(phase, shell)
            if failure is not None:
                raise failure

    def _attempt(self, phase: Phase, shell: Shell) -> PhaseFailed | None:
        failure: PhaseFailed | None = None
        for command in phase.commands:
            failure = self._command(command, shell)
            if failure is not None:
                break
        for command in phase.finally_commands:
            later = self._command(command, shell)
            failure = failure or later
        return failure

    def _command(self, command: str, shell: Shell) -> PhaseFailed | None:
        self._log.say(f"Running command {command}")
        status = shell.run(command)
        if status == 0:
            return None
        self._log.say(f"Command did not exit successfully {command} exit status {status}")
        reason = f"Error while executing command: {command}. Reason: exit status {status}"
        return PhaseFailed("COMMAND_EXECUTION_ERROR", reason)
