"""Script mode: the arguments and ``SM_*`` variables that sagemaker-containers 2.8.6.post2 gives to user code.

As in the toolkit, every hyperparameter is read as JSON where it parses; the program runs as ``python -m <module>``, so ``a/b.py``
does not work; and a failure of the program overwrites ``output/failure`` with the command line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The toolkit's own hyperparameters. Other names with the prefix become framework parameters.
_OWN = {
    "_tuning_objective_metric",
    "default_user_module_name",
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_container_log_level",
    "sagemaker_job_name",
    "sagemaker_region",
    "sagemaker_s3_output",
    "sagemaker_enable_cloudwatch_metrics",
    "sagemaker_default_invocations_accept",
}
_PREFIX = "sagemaker_"
_NETWORK = "eth0"
_LOG_LEVEL_INFO = 20


def is_script_mode(hyperparameters: Mapping[str, str]) -> bool:
    """Whether the hyperparameters name a program and its code."""
    return {"sagemaker_program", "sagemaker_submit_directory"} <= hyperparameters.keys()


def decoded(hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    """Every value read as JSON, or unchanged if it is not JSON."""
    values: dict[str, Any] = {}
    for name, text in hyperparameters.items():
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def module_name(program: str) -> str:
    """``train.py`` and ``train`` both mean the module ``train``."""
    return program.removesuffix(".py")


def arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """The user's hyperparameters as command line arguments, sorted by name."""
    args: list[str] = []
    for name in sorted(user_hyperparameters(hyperparameters)):
        args += [f"--{name}" if len(name) > 1 else f"-{name}", _argument(hyperparameters[name])]
    return args


def user_hyperparameters(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that are not the toolkit's."""
    return {name: value for name, value in hyperparameters.items() if not name.startswith(_PREFIX) and name not in _OWN}


def environment(
    root: Path, hyperparameters: Mapping[str, Any], resources: Mapping[str, Any], channels: Mapping[str, Any]
) -> dict[str, str]:
    """The ``SM_*`` variables, as the toolkit's ``TrainingEnv.to_env_vars`` makes them."""
    mine = user_hyperparameters(hyperparameters)
    module = module_name(hyperparameters["sagemaker_program"])
    directories = {channel: str(root / "input/data" / channel) for channel in channels}
    values: dict[str, Any] = {
        "hosts": resources["hosts"],
        "current_host": resources["current_host"],
        "network_interface_name": resources.get("network_interface_name", _NETWORK),
        "hps": mine,
        "user_entry_point": hyperparameters["sagemaker_program"],
        "module_name": module,
        "module_dir": hyperparameters["sagemaker_submit_directory"],
        "framework_params": {
            name: value for name, value in hyperparameters.items() if name.startswith(_PREFIX) and name not in _OWN
        },
        "framework_module": "sagemaker_xgboost_container.training:main",
        "resource_config": resources,
        "input_data_config": channels,
        "channels": sorted(directories),
        "input_dir": str(root / "input"),
        "input_config_dir": str(root / "input/config"),
        "output_dir": str(root / "output"),
        "output_data_dir": str(root / "output/data"),
        "output_intermediate_dir": str(root / "output/intermediate"),
        "model_dir": str(root / "model"),
        "num_cpus": os.cpu_count() or 1,
        "num_gpus": 0,
        "log_level": hyperparameters.get("sagemaker_container_log_level", _LOG_LEVEL_INFO),
        "user_args": arguments(hyperparameters),
        **{f"channel_{channel}": path for channel, path in directories.items()},
        **{f"hp_{name}": value for name, value in mine.items()},
    }
    values["training_env"] = {
        **{name: value for name, value in values.items() if not name.startswith(("hp_", "channel_"))},
        "channel_input_dirs": directories,
        "hyperparameters": mine,
    }
    return {f"SM_{name.upper()}": _variable(value) for name, value in values.items()}


def failure_text(command: list[str]) -> str:
    """What the toolkit writes to ``output/failure`` when the user's program fails."""
    return f'ExecuteUserScriptError:\nCommand "{" ".join(command)}"'


def _argument(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in sorted(value.items()))
    return "" if value is None else str(value)


def _variable(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
