"""A training job from Starting to its end, in a thread of its own: download, run, upload.

In: a :class:`TrainingJob`. Out: its statuses, its log, ``model.tar.gz`` and ``output.tar.gz`` on S3. The surprise: a
stopped job still uploads what ``/opt/ml/model`` holds, a failed one does not, as at AWS.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import time

from app.local.aws import objects, processes, toolkit
from app.local.aws.cloud import Cloud
from app.local.aws.jobs import TrainingJob
from app.local.aws.layout import Command, JobFailure, Layout, job_environment
from app.local.aws.logs import LogStream

_log = logging.getLogger(__name__)

IMAGE = "sagemaker-xgboost:"
_GROUP = "/aws/sagemaker/TrainingJobs"
_POLL_S = 0.05
_KILLED = 128


def run_job(cloud: Cloud, job: TrainingJob) -> None:
    """Take the job through its life; never raises."""
    layout = Layout(cloud, job)
    try:
        _run(cloud, job, layout)
    except JobFailure as failure:
        job.finish("Failed", reason=str(failure))
    except Exception:
        _log.exception("training job %s", job.name)
        job.finish("Failed", reason="InternalServerError: We encountered an internal error. Please try again.")
    finally:
        shutil.rmtree(layout.home, ignore_errors=True)


def _run(cloud: Cloud, job: TrainingJob, layout: Layout) -> None:
    image = job.request["AlgorithmSpecification"].get("TrainingImage", "")
    if IMAGE not in image:
        raise JobFailure(
            f"ClientError: The local AWS stands for SageMaker's XGBoost images only ({IMAGE}...), not for {image!r}."
        )
    job.enter("Downloading")
    layout.prepare()
    command = layout.command()
    if job.stop_requested.is_set():
        job.finish("Stopped")
        return
    job.enter("Training")
    exit_code, ended_by = _train(cloud, job, layout, command)
    if job.abandoned.is_set():
        job.finish("Stopped")
        return
    if exit_code != 0 and ended_by is None:
        _upload_output(cloud, job, layout)
        raise JobFailure(_failure_reason(layout, command, exit_code))
    job.enter("Uploading")
    _upload_output(cloud, job, layout)
    _upload_model(cloud, job, layout)
    job.finish("Completed" if ended_by is None else "Stopped", ended_by)


def _train(cloud: Cloud, job: TrainingJob, layout: Layout, command: Command) -> tuple[int, str | None]:
    """The exit code, and the secondary status of what ended the job early."""
    stream = LogStream(cloud.logs, _GROUP, f"{job.name}/algo-1-{int(time.time())}", on_line=job.measure)
    try:
        process = processes.spawn(
            command.line, environment=job_environment(cloud, job, layout, command), folder=command.folder
        )
        output = process.stdout
        assert output is not None
        pump = stream.pump(output)
        ended_by = _watch(cloud, job, process)
        # What the job left running would keep the pipe open.
        processes.end(process)
        pump.join()
    except FileNotFoundError as error:
        raise JobFailure(f"AlgorithmError: {error.filename} is not in the container, exit code: 127") from error
    finally:
        stream.close()
    code = process.returncode
    return (code if code >= 0 else _KILLED - code), ended_by


def _watch(cloud: Cloud, job: TrainingJob, process: subprocess.Popen[bytes]) -> str | None:
    deadline = time.monotonic() + job.max_runtime_s
    while process.poll() is None:
        if job.abandoned.is_set():
            processes.end(process)
            return "Stopped"
        if job.kill_requested.is_set():
            processes.kill(process)
            return None
        if job.stop_requested.is_set():
            _stop(cloud, job, process)
            return "Stopped"
        if time.monotonic() >= deadline:
            _stop(cloud, job, process)
            return "MaxRuntimeExceeded"
        time.sleep(_POLL_S)
    return None


def _stop(cloud: Cloud, job: TrainingJob, process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    deadline = time.monotonic() + cloud.limits.stop_grace_s
    while process.poll() is None and time.monotonic() < deadline and not job.abandoned.is_set():
        time.sleep(_POLL_S)
    processes.end(process, grace_s=0)


def _failure_reason(layout: Layout, command: Command, exit_code: int) -> str:
    if command.scripted:
        return f"AlgorithmError: {toolkit.failure_text(command.line)}, exit code: 1"
    text = ""
    if layout.failure_file.is_file():
        text = layout.failure_file.read_text(errors="replace").strip()
    suffix = f", exit code: {exit_code}"
    # SageMaker gives the first 1,024 characters in all; the code is what a reader looks for at the end.
    return f"AlgorithmError: {text}"[: 1024 - len(suffix)] + suffix


def _output_uri(job: TrainingJob, name: str) -> str:
    return f"{job.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job.name}/output/{name}"


def _upload_output(cloud: Cloud, job: TrainingJob, layout: Layout) -> None:
    layout.save_checkpoints()
    if any(layout.output_data.iterdir()):
        objects.upload_archive(cloud.s3, layout.output_data, _output_uri(job, "output.tar.gz"))


def _upload_model(cloud: Cloud, job: TrainingJob, layout: Layout) -> None:
    uri = _output_uri(job, "model.tar.gz")
    objects.upload_archive(cloud.s3, layout.model, uri)
    job.keep_artifact(uri)
