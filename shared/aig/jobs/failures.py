"""Why jobs fail, in the words that their clients read. Pure."""

from aig.errors import AIGError
from aig.jobs.job import Failure, Job
from aig.modalities.job import Failed

_NOTHING_CHARGED = "Nothing was charged."


def of_error(error: AIGError) -> Failure:
    return Failure(error.type, error.code, f"{error.message} {_NOTHING_CHARGED}", error.param)


def too_late(job: Job) -> Failure:
    """Its deadline has passed: in the queue, or at its provider."""
    if job.status == "queued":
        message = f"No provider had room for the job for hours. {_NOTHING_CHARGED} Send it again, or use another model."
        return Failure("timeout_error", "queue_timeout", message)
    message = f"The provider did not finish the job in time. {_NOTHING_CHARGED} Send it again, or ask for less."
    return Failure("timeout_error", "upstream_timeout", message)


def told(failed: Failed) -> Failure:
    """What the provider has ended the job with."""
    if failed.kind == "rejected":
        code = failed.code or "invalid_value"
        moderated = code == "content_policy_violation"
        why = "refuses this content" if moderated else f"refused the job (code {code})"
        return Failure("invalid_request_error", code, f"The provider {why}. {_NOTHING_CHARGED} Change the request.")
    return Failure(
        "provider_error",
        failed.code or "provider_failed",
        f"The provider could not finish the job. {_NOTHING_CHARGED} Send it again, or use another model.",
    )


LOST = Failure(
    "provider_error",
    "job_lost",
    f"The provider does not know the job any more. {_NOTHING_CHARGED} Send it again.",
)
UNKNOWN = Failure(
    "provider_error",
    "provider_unknown",
    "The provider's answer to the job was lost, or could not be read: whether it was taken cannot be found out. "
    f"{_NOTHING_CHARGED} Send it again.",
)
UNUSABLE = Failure(
    "provider_error",
    "result_not_usable",
    f"The provider's result could not be kept: it is missing, too large or no file of the kind. {_NOTHING_CHARGED} "
    "Send it again, or use another model.",
)
GONE = Failure(
    "provider_error",
    "provider_not_configured",
    f"The model, or its provider, left the gateway while the job ran. {_NOTHING_CHARGED} Use another model.",
)
INTERNAL = Failure(
    "internal_error",
    "internal_error",
    f"Something went wrong on our side. {_NOTHING_CHARGED} Send it again; quote the id of the job.",
)
SWITCHED_OFF = Failure(
    "permission_error",
    "sub_account",
    f"The sub-account was switched off before the job had begun. {_NOTHING_CHARGED} Have it switched on again.",
)
PICTURE_GONE = Failure(
    "invalid_request_error",
    "picture_expired",
    f"The picture that the job was to begin with is kept for a day, which is over. {_NOTHING_CHARGED} Send it again.",
)
EXPIRED = Failure(
    "internal_error",
    "hold_expired",
    f"The job took longer than its money was set aside for. {_NOTHING_CHARGED} Send it again.",
)


def of_cause(error: str | None) -> Failure:
    """What a job fails with whose machine gave up, by the name of the error that it caught."""
    return UNUSABLE if error == "ResultLost" else INTERNAL
