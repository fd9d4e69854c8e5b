"""The journey itself: an empty twin, bootstrapped accounts, one push, and everything that follows from it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ops.accounts import Account
from ops.demo import champion, summary
from ops.demo.tools import DemoError, Tools
from twin.delivery_view import DeliveryView
from twin.delivery_watch import Change, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from rich.console import Console

    from twin.client import Health, Twin
    from twin.delivery_watch import Approval

SAMPLE_IMAGES = 800
REGION = "us-east-1"
TOOLING = "tooling"


@dataclass
class Journey:
    """One run of the demo. `decide` says yes or no to an approval; `build` receives logs and reports."""

    twin: Twin
    console: Console
    build: Path
    decide: Callable[[Approval], bool]
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def step(self, name: str, title: str) -> Generator[None]:
        """Says what begins, and how long it took."""
        self.console.print(f"[bold]{title}[/bold] ...", highlight=False, soft_wrap=True)
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)
        self.console.print(f"  {self.seconds[name]:.1f} s", style="dim", highlight=False)

    @property
    def environments(self) -> dict[str, str]:
        """Account number by environment, without the tooling account."""
        accounts: dict[str, str] = self.twin.settings["accounts"]
        return {name: account for name, account in accounts.items() if name != TOOLING}

    def account(self, name: str) -> Account:
        """An environment's account in the twin."""
        return Account(name, partial(self.twin.client, account=name, region=REGION))

    def tools(self, running: Health) -> Tools:
        """The command line tools, pointed at the running twin."""
        endpoint = f"http://127.0.0.1:{running.port}"
        logs = self.build / "logs"
        return Tools(project=self.twin.project, endpoint=endpoint, region=REGION, logs=logs)

    def prepare(self, running: Health) -> str:
        """Bootstraps the accounts, pushes the commit and deploys the pipeline; answers the commit."""
        tools, tooling = self.tools(running), self.twin.account(TOOLING)
        with self.step(
            "bootstrap", "Bootstrapping four accounts for the CDK, with trust in the tooling account"
        ):
            tools.bootstrap([tooling, *self.environments.values()], trusting=tooling)
        left = self.twin.changed_files()
        commit = self.twin.push(force=True)
        self.console.print(f"[bold]Pushed[/bold] commit {commit[:12]} to main", highlight=False)
        if left:
            self.console.print(
                f"  {left} changed file(s) are not committed, and not part of it", style="yellow"
            )
        with self.step("deploy", "Deploying the delivery pipeline, once, by hand"):
            tools.deploy(tooling)
        return commit

    def follow(self, commit: str) -> Change:
        """Shows the commit's execution until it ends, asking for each approval; answers how it ended."""
        watch = Watch(self.twin.pipeline_api, self.twin.pipeline_name)
        view = DeliveryView(self.console, watch.structure())
        asked: set[str] = set()
        last: Change | None = None
        began = time.monotonic()
        with view.shown():
            for change in self.twin.watch(commit=commit):
                if change.kind == "execution" and change.status == "InProgress":
                    view.restructure(watch.structure())
                view.take(change)
                self._approve(view, change, asked)
                last = change
        self.seconds["pipeline"] = round(time.monotonic() - began, 1)
        if last is None:
            raise DemoError(f"nothing has run commit {commit[:12]}: python -m twin status")
        if last.status != "Succeeded":
            view.explain_failure(last)
        return last

    def _approve(self, view: DeliveryView, change: Change, asked: set[str]) -> None:
        if change.kind != "action" or change.status != "InProgress":
            return
        for approval in self.twin.approvals():
            if approval.token in asked:
                continue
            asked.add(approval.token)
            view.show_approval(approval, "python -m twin approve, in another terminal, does the same")
            for environment in self.reports(approval.execution):
                page = self.build / "reports" / environment / "index.html"
                self.console.print(
                    f"  smoke report of {environment}: {page}", highlight=False, soft_wrap=True
                )
            with view.paused():
                approved = self.decide(approval)
            self.twin.decide(
                approve=approved, summary="decided in the demo", stage=approval.stage, action=approval.action
            )
            self.console.print(f"  {'approved' if approved else 'rejected'}", style="bold")

    def reports(self, execution: str) -> dict[str, dict[str, Any]]:
        """Fetches the smoke reports that an execution has written so far; answers their summaries."""
        folder = self.build / "reports"
        return summary.smoke_reports(self.account(TOOLING), execution, self.environments, folder)

    def train_champions(self, running: Health) -> dict[str, dict[str, Any]]:
        """Lets the sample dataset arrive in every environment; answers each environment's promoted model."""
        folder = self.build / "dataset"
        title = (
            "A dataset arrives in dev, staging and prod: each trains, evaluates and promotes its first model"
        )
        with self.step("champions", title):
            self.tools(running).sample_data(folder, SAMPLE_IMAGES)
            begun = [champion.dataset_arrives(self.account(name), folder) for name in self.environments]
            trained = {training.account.name: training.wait() for training in begun}
        for name, told in trained.items():
            accuracy = told["metrics"]["accuracy"]
            self.console.print(
                f"  {name}: endpoint {told['endpoint_name']}, accuracy {accuracy:.3f} on the holdout",
                highlight=False,
            )
        return trained

    def question(self, running: Health, environment: str) -> list[str]:
        """The command that asks an environment's champion about one sample image."""
        account = self.account(environment)
        health = self.twin.get("health")
        sample = sorted((self.build / "dataset" / "images").glob("*.png"))[0]
        return champion.question(
            api_url=account.output("ApiUrl"),
            image=sample,
            account=self.environments[environment],
            region=REGION,
            proxy=f"http://127.0.0.1:{health['proxy_port']}",
            bundle=running.home / "proxy" / "ca-bundle.pem",
        )
