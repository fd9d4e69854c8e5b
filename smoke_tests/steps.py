"""The steps of a smoke run: each proves one thing, says what it saw, or raises `CheckFailed`."""

from contextlib import suppress
from pathlib import Path

from botocore.exceptions import ClientError
from pydantic import ValidationError

from smoke_tests import bad_inputs, burst, cost, dataset, endpoints, leftovers, lineage, predictions, training
from smoke_tests.bad_inputs import BadInput
from smoke_tests.budget import Budget
from smoke_tests.context import RUN_PREFIX, Context
from smoke_tests.evidence import Evaluation
from smoke_tests.faults import CheckFailed, first_wrong
from smoke_tests.journal import Check, require
from smoke_tests.leftovers import SmokeLine

# The endpoint may run, and cost, from the first of these states on.
_ENDPOINT_STATES = "Endpoint"
# The workflow and its evaluation write the same number, at worst rounded differently on its way through JSON.
_SAME_ACCURACY = 1e-6


def role(run: Context, check: Check) -> None:
    """The smoke role can be assumed and belongs to the environment's account."""
    identity = run.aws.sts.get_caller_identity()
    require(
        identity["Account"] == run.settings.account,
        f"SMOKE_ROLE_ARN leads to account {identity['Account']}, STATE_MACHINE_ARN to {run.settings.account}",
    )
    check.detail = str(identity["Arn"])


def budget(run: Context, check: Check) -> None:
    """The run cannot cost more than it may: time is cut to what the money buys."""
    settings = run.settings
    rates = cost.Rates(
        training=settings.training_usd_an_hour,
        evaluation=settings.evaluation_usd_an_hour,
        hosting=settings.hosting_usd_an_hour,
        request=settings.request_usd,
    )
    run.evidence.rates = rates
    run.budget.shorten(rates.affordable_seconds(settings.max_cost_usd), "SMOKE_MAX_COST_USD")
    most = f"at most {settings.max_cost_usd:.2f} USD and {run.budget.seconds:.0f} s"
    check.detail = f"{most}; its machines together cost {rates.together:.2f} USD an hour"


def smoke_line(run: Context, check: Check) -> None:
    """No other smoke run holds the environment; note what the champion is like before anything happens."""
    settings, aws = run.settings, run.aws
    run.evidence.champion_before = run.serves(settings.champion_endpoint_name)
    whole_line = SmokeLine(aws, settings, None)
    executions = run.executions(RUN_PREFIX)
    holders = [*executions, *(found.name for found in whole_line.endpoint())]
    if holders and not settings.takes_over:
        raise CheckFailed(
            f"another smoke run holds the smoke line of {settings.environment} ({holders[0]}); wait for its "
            "end, or, if it was killed, set SMOKE_TAKE_OVER=yes to stop it and sweep what it left"
        )
    for arn in executions:
        training.stop(aws.states, arn, run.budget)
    swept = whole_line.delete_all(run.budget)
    check.detail = f"free, after sweeping an earlier run: {swept.in_words()}" if swept.counts else "free"


def make_sample_data(run: Context, folder: Path) -> dataset.Dataset:
    """Make the sample images in `folder`; runs beside the first checks and is judged by `sample_data`."""
    return dataset.make(folder, run.settings.images, script=run.sample_data, budget=run.budget)


def sample_data(run: Context, check: Check) -> None:
    """The sample images are made and lie where the workflow reads them."""
    if run.making is None:
        raise LookupError("nobody makes the sample data")
    made = run.making.result()
    prefix = f"{leftovers.DATASETS_PREFIX}{run.run_id}/"
    run.manifest_uri = dataset.upload(run.aws.s3, run.settings.datasets_bucket, prefix, made, run.budget)
    run.data = made
    run.evidence.classes = made.manifest.classes
    run.evidence.train_images, run.evidence.holdout_images = made.count("train"), made.count("holdout")
    check.evidence["manifest"] = run.manifest_uri
    check.detail = f"{made.count('train')} images to train on, {made.count('holdout')} held out"


def train(run: Context, check: Check) -> None:
    """The workflow trains, evaluates, registers and promotes a model of the smoke line."""
    states = run.aws.states
    check.evidence["execution"] = run.execution_arn
    training.start(states, run.settings.state_machine_arn, run.run_id, run.manifest_uri)
    run.evidence.execution = training.Execution(run.execution_arn)
    try:
        promotions = run.settings.promotion_machine_arn
        outcome = training.wait(states, run.execution_arn, promotions, run.budget, run.journal.say)
    finally:
        # Without the history the report only shows less: it must not hide why the run failed.
        with suppress(ClientError):
            run.evidence.execution = training.examine(
                states, run.execution_arn, run.settings.promotion_machine_arn
            )
            if waiting := run.evidence.execution.seconds_of(_ENDPOINT_STATES):
                run.evidence.endpoint_since = run.journal.elapsed() - waiting
    require(
        outcome.run_id == run.run_id,
        f"the workflow answered for run {outcome.run_id} instead of {run.run_id}",
    )
    require(
        not outcome.repeated and outcome.attempt == 1,
        f"the workflow says that run {run.run_id} was known before: attempt {outcome.attempt}",
    )
    run.evidence.outcome = outcome
    check.evidence["model package"] = outcome.model_package_arn
    seen = run.evidence.execution
    check.detail = (
        f"{len(seen.states)} states, {len(seen.promotion)} of the promotion, {outcome.model_package_arn}"
    )


def accuracy(run: Context, check: Check) -> None:
    """The evaluation on the holdout is good enough, and the workflow reports the same figure."""
    document = dataset.read_json(run.aws.s3, run.outcome.evaluation_uri)
    try:
        evaluation = Evaluation.model_validate(document)
    except ValidationError as error:
        raise CheckFailed(f"{run.outcome.evaluation_uri} is wrong at {first_wrong(error)}") from None
    run.evidence.evaluation = evaluation
    check.evidence["evaluation"] = run.outcome.evaluation_uri
    check.evidence["evaluation with pictures"] = run.outcome.report_uri
    needed = run.settings.min_accuracy
    words = f"{evaluation.accuracy:.4f} on {evaluation.count} holdout images, at least {needed} needed"
    require(evaluation.accuracy >= needed, words)
    reported = run.outcome.metrics.get("accuracy")
    require(
        reported is not None and abs(reported - evaluation.accuracy) < _SAME_ACCURACY,
        f"the workflow reports accuracy {reported}, its evaluation says {evaluation.accuracy}",
    )
    check.detail = words


def endpoint(run: Context, check: Check) -> None:
    """The smoke line serves exactly this run's model: by the configuration that it made, or by a function."""
    outcome, expected = run.outcome, run.settings.endpoint_name
    function = run.settings.model_function
    require(
        outcome.endpoint_name == expected,
        f"the workflow promoted to {outcome.endpoint_name}, not to the smoke endpoint {expected}",
    )
    if function:
        served_by = outcome.endpoint_config_name
        require(served_by == function, f"the workflow promoted to {served_by}, not to function {function}")
    else:
        require(
            run.run_id in outcome.endpoint_config_name,
            f"endpoint configuration {outcome.endpoint_config_name} is not one of run {run.run_id}",
        )
    found = run.serves(expected)
    wanted = f"{expected}-{run.run_id}" if function else outcome.endpoint_config_name
    endpoints.require_serving(found, wanted)
    check.detail = f"{found.name}: {found.in_words()}"


def ask(run: Context, check: Check) -> None:
    """Enough of the images that the model never saw get the right label through the API."""
    samples = run.dataset.samples(predictions.IMAGES_ASKED)
    answers = predictions.ask(run.api, samples, run.evidence.classes, run.outcome.model_package_arn)
    run.evidence.predictions = answers
    run.evidence.latency = predictions.latency(answers)
    check.detail = predictions.require_right(answers)


def answers_well_formed(run: Context, check: Check) -> None:
    """Every answer to those images has the promised form, and names this run's model."""
    require(bool(run.evidence.predictions), "no image was answered")
    check.detail = predictions.require_well_formed(run.evidence.predictions)


def burst_path(run: Context, check: Check) -> None:
    """An image that the model never saw goes down the burst path and comes out right, with its lineage."""
    sample = run.dataset.samples(1)[0]
    found = burst.ask_later(run.api, sample, run.outcome.model_package_arn, run.budget)
    check.evidence["prediction"] = found.id
    recorded = run.lineage.item("PREDICTION", found.id)
    require(bool(recorded), f"lineage has no record of prediction {found.id}")
    expected = {"line": "smoke", "label": found.label, "run_id": run.run_id}
    for name, value in expected.items():
        require(
            recorded.get(name) == value,
            f"lineage says {name} {recorded.get(name)!r} of prediction {found.id}, not {value!r}",
        )
    check.detail = f"{found.label} after {found.seconds:.1f} s, recorded"


def refuse(run: Context, check: Check, bad: BadInput) -> None:
    """The API refuses one bad input with a 4xx that says why."""
    refusal = bad_inputs.send(run.api, bad, run.dataset.samples(1)[0].content)
    run.evidence.refusals[bad.name] = refusal
    check.detail = bad_inputs.require_refused(refusal)


def refuse_unsigned(run: Context, check: Check) -> None:
    """The API turns away a caller without a signature."""
    answer = run.api.post(run.dataset.samples(1)[0].content, "image/png", signed=False, tries=1)
    check.detail = bad_inputs.require_unsigned_refused(answer)


def lineage_of_run(run: Context, check: Check) -> None:
    """The record of this run agrees with what the workflow said."""
    check.detail = lineage.require_run(run.lineage, run.outcome)


def lineage_to_source(run: Context, check: Check) -> None:
    """An answer leads to its model, that to its run, and that to its dataset."""
    request_id = _answered(run)[0]
    run.evidence.lineage = lineage.chain(run.lineage, request_id, run.outcome, run.budget)
    check.detail = f"request {request_id} -> {run.evidence.lineage[0].identity}"


def lineage_to_influence(run: Context, check: Check) -> None:
    """The dataset leads to this run, that to its model, and that to every answer."""
    check.detail = lineage.require_influence(run.lineage, run.outcome, _answered(run), run.budget)


def _answered(run: Context) -> list[str]:
    ids = [prediction.request_id for prediction in run.evidence.predictions if prediction.request_id]
    require(bool(ids), "no answer had a request id to follow")
    return ids


def clean_up(run: Context, check: Check, budget: Budget) -> None:
    """What this run made is deleted, a workflow that still runs is stopped first."""
    fault: Exception | None = None
    stopped = False
    try:
        stopped = training.stop(run.aws.states, run.execution_arn, budget)
        for arn in run.executions(run.run_id):
            training.stop(run.aws.states, arn, budget)
    except (ClientError, CheckFailed) as error:
        fault = error  # what is there can be deleted all the same
    deleted = run.line.delete_all(budget)
    if fault is not None:
        raise fault
    check.detail = f"{'workflow stopped, ' if stopped else ''}{deleted.in_words()}"


def nothing_left(run: Context, check: Check, budget: Budget) -> None:
    """Listings show nothing of this run any more."""
    remaining = leftovers.find_remaining(run.line, budget, lambda: run.executions(run.run_id))
    require(not remaining, f"still there: {'; '.join(remaining)}")
    check.detail = (
        "no endpoint, configuration, model, package, object or running workflow; lineage and logs stay, "
        "a result for a day"
    )


def bill(run: Context, check: Check) -> None:
    """What the run cost, by its own measure, is within the budget."""
    seen = run.evidence
    if seen.rates is None:
        raise LookupError("nobody looked prices up before the run")
    execution, since = seen.execution, seen.endpoint_since
    trained = seen.job.billable_seconds if seen.job else execution.seconds_of("Train") if execution else 0.0
    seen.cost = cost.bill(
        seen.rates,
        training=trained,
        evaluation=execution.seconds_of("Evaluate") if execution else 0.0,
        hosting=run.journal.elapsed() - since if since is not None else 0.0,
        requests=run.api.calls,
    )
    most = run.settings.max_cost_usd
    require(seen.cost.total <= most, f"{seen.cost.in_words()}; at most {most:.2f} USD (SMOKE_MAX_COST_USD)")
    check.detail = seen.cost.in_words()


def champion(run: Context, check: Check) -> None:
    """The champion's endpoint is what it was before the run."""
    before = run.evidence.champion_before
    if before is None:
        raise LookupError("nobody looked at the champion before the run")
    after = run.serves(before.name)
    check.detail = endpoints.require_untouched(before, after, run.run_id, run.lineage.is_champion_deployment)
