"""The CDK app: settings in, one delivery pipeline out (or one environment, for a sandbox)."""

from __future__ import annotations

import sys
from pathlib import Path

from aws_cdk import App

ROOT = Path(__file__).resolve().parent
# `vision_platform` lies in a source root of its own; `constructs` itself must stay PyPI's package.
sys.path.insert(0, str(ROOT / "constructs"))

from delivery.delivery_stack import DeliveryStack  # noqa: E402
from delivery.toolchain import ToolchainError  # noqa: E402
from stages.monthly_costs import write_costs  # noqa: E402
from stages.platform_stage import PlatformStage  # noqa: E402
from stages.settings import SettingsError  # noqa: E402
from stages.settings_reader import CONTEXT_KEY, parse_settings, read_context  # noqa: E402
from vision_platform.compliance import add_compliance_gate  # noqa: E402
from vision_platform.model_code import ModelSpecError  # noqa: E402
from vision_platform.packaging import PACKAGING_FAULT  # noqa: E402

# The CDK CLI tells the app to leave findings to it, and then lets those inside nested stages pass.
_FAIL_ON_FINDINGS = {"@aws-cdk/core:failSynthOnValidationErrors": True}


def build_app(
    project_root: Path = ROOT, *, context: dict[str, object] | None = None, out: Path | None = None
) -> App:
    """The app for cdk.json's context, or for another. With `sandbox=<environment>` in it: just that one.

    Raises SettingsError, ModelSpecError or ToolchainError when the settings or files that it reads are wrong.
    """
    app = App(
        context=read_context(project_root) if context is None else context,
        post_cli_context=_FAIL_ON_FINDINGS,
        # They would show only frames of the CDK itself, with this machine's paths in them.
        stack_traces=False,
        outdir=str(out) if out else None,
    )
    settings = parse_settings(app.node.try_get_context(CONTEXT_KEY))
    sandbox = app.node.try_get_context("sandbox")
    if sandbox is None:
        DeliveryStack(app, "Delivery", settings=settings, project_root=project_root)
        write_costs(settings, Path(app.outdir))
    else:
        environment = settings.environment(str(sandbox))
        PlatformStage(
            app,
            environment.name.capitalize(),
            platform=settings.name,
            environment=environment,
            tooling=settings.tooling,
            project_root=project_root,
            environments=settings.environments,
        )
    add_compliance_gate(app)
    return app


def main() -> int:
    """Synthesize into cdk.out, or tell in plain words why not."""
    try:
        build_app().synth()
    except SettingsError as error:
        return _refuse(f"The settings in cdk.json are wrong:\n{error}")
    except (ModelSpecError, ToolchainError) as error:
        return _refuse(str(error))
    except RuntimeError as error:
        # What fails inside the CDK's own process comes back as text.
        for known in (PACKAGING_FAULT, "ValidationFailed:"):
            if known in str(error):
                return _refuse(f"{known} {str(error).partition(known)[2].strip()}")
        raise
    return 0


def _refuse(message: str) -> int:
    print(f"\n{message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
