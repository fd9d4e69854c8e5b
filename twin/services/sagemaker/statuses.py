"""The secondary statuses of a training job: one after the other, each with its message and its times."""

from typing import Any

from twin.services.sagemaker.records import Record, now

# A job that was ended for one of these keeps saying so: its primary status is only Stopped.
LIMITS = ("MaxRuntimeExceeded", "MaxWaitTimeExceeded")
_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading the training image and input data",
    "Training": "Training image download completed. Training in progress.",
    "Interrupted": "Training job interrupted: the Spot capacity was reclaimed. Waiting for capacity.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}


def entered(record: Record, status: str) -> dict[str, Any]:
    """Return the members of a record that enters a secondary status."""
    moment = now()
    transitions = [dict(one) for one in record.get("SecondaryStatusTransitions", [])]
    if transitions:
        transitions[-1].setdefault("EndTime", moment)
    message = _MESSAGES.get(status, status)
    transitions.append({"Status": status, "StartTime": moment, "StatusMessage": message})
    return {"SecondaryStatus": status, "SecondaryStatusTransitions": transitions}


def ending(record: Record, status: str, reason: str) -> dict[str, Any]:
    """Return the members of a record that gets a final status."""
    secondary = record["SecondaryStatus"] if record.get("SecondaryStatus") in LIMITS else status
    members = entered(record, secondary)
    members["SecondaryStatusTransitions"][-1]["EndTime"] = now()
    if reason:
        members["SecondaryStatusTransitions"][-1]["StatusMessage"] = reason
    return {**members, "TrainingEndTime": now()}
