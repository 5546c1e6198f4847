"""The training job definitions of a tuning job: request, objective, search space, strategy and early stopping.

AWS adds the hyperparameter ``_tuning_objective_metric`` to every training job, and shows it in the definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from localcloud.aws.http.protocol import Params, ValidationException, unsupported
from localcloud.aws.sagemaker.tuning.early_stopping import MedianStopping, NoStopping, StoppingRule, SuccessiveHalving
from localcloud.aws.sagemaker.tuning.parameter_ranges import Space, read_space
from localcloud.aws.sagemaker.tuning.strategies import BayesianSearch, GridSearch, RandomSearch, SearchStrategy

METRIC_HYPERPARAMETER = "_tuning_objective_metric"
_TUNING_MEMBERS = ("DefinitionName", "TuningObjective", "HyperParameterRanges", "StaticHyperParameters")
_EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")


@dataclass(frozen=True)
class Objective:
    """The objective metric, and whether it is maximized."""

    metric: str
    maximize: bool

    def loss(self, value: float) -> float:
        """The value as a loss: lower is better."""
        return -value if self.maximize else value


@dataclass(frozen=True)
class Definition:
    """One training job definition. ``request``: as DescribeHyperParameterTuningJob shows it."""

    request: Params
    objective: Objective
    space: Space
    search: SearchStrategy
    stopping: StoppingRule

    @property
    def name(self) -> str | None:
        """DefinitionName; a single definition need not have one."""
        return self.request.get("DefinitionName")

    def training_request(self, job_name: str, values: dict[str, str], tags: list[dict[str, str]]) -> Params:
        """The CreateTrainingJob request with the hyperparameters ``values``."""
        request = {key: value for key, value in self.request.items() if key not in _TUNING_MEMBERS}
        resources = request.pop("HyperParameterTuningResourceConfig", None)
        if resources:
            request["ResourceConfig"] = {key: value for key, value in resources.items() if key != "AllocationStrategy"}
        static = self.request["StaticHyperParameters"]
        return {**request, "TrainingJobName": job_name, "HyperParameters": {**static, **values}, "Tags": tags}


def read_definitions(params: Params) -> list[Definition]:
    """The definitions of a request; raises :class:`ValidationException` if it is not valid or not supported."""
    config = params["HyperParameterTuningJobConfig"]
    _check_config(params, config)
    single = params.get("TrainingJobDefinition")
    if bool(single) == bool(params.get("TrainingJobDefinitions")):
        raise ValidationException("Exactly one of TrainingJobDefinition and TrainingJobDefinitions is required.")
    if single:
        objective, ranges = config.get("HyperParameterTuningJobObjective"), config.get("ParameterRanges")
        definitions = [_definition(single, objective, ranges, config)]
    else:
        definitions = [
            _definition(each, each.get("TuningObjective"), each.get("HyperParameterRanges"), config)
            for each in params["TrainingJobDefinitions"]
        ]
        if len({each.name for each in definitions}) < len(definitions) or None in {each.name for each in definitions}:
            raise ValidationException("Every one of several training job definitions needs a name of its own.")
        if len({each.objective.maximize for each in definitions}) > 1:
            raise unsupported("definitions of which one minimizes and another maximizes its metric")
    _check_number(config, definitions)
    return definitions


def _check_config(params: Params, config: Params) -> None:
    if params.get("Autotune"):
        raise unsupported("Autotune")
    strategy = config["Strategy"]
    if strategy == "Hyperband" and config.get("TrainingJobEarlyStoppingType", "Off") != "Off":
        raise ValidationException("TrainingJobEarlyStoppingType must be Off to use the Hyperband strategy.")
    if config.get("StrategyConfig") and strategy != "Hyperband":
        raise ValidationException("StrategyConfig can be given for the Hyperband strategy only.")
    criteria = config.get("TuningJobCompletionCriteria", {})
    if criteria.get("ConvergenceDetected", {}).get("CompleteOnConvergence") == "Enabled":
        raise unsupported("the completion criterion ConvergenceDetected, whose rules AWS does not publish")


def _check_number(config: Params, definitions: list[Definition]) -> None:
    number = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    if config["Strategy"] != "Grid":
        if number is None:
            raise ValidationException("MaxNumberOfTrainingJobs is required for every strategy but Grid.")
        return
    combinations = sum(len(list(definition.space.grid())) for definition in definitions)
    if number not in (None, combinations):
        raise ValidationException(
            f"MaxNumberOfTrainingJobs must equal the number of combinations of the grid, {combinations}."
        )


def _definition(given: Params, objective: Params | None, ranges: Params | None, config: Params) -> Definition:
    if objective is None or ranges is None:
        raise ValidationException("A tuning objective and parameter ranges are required.")
    metric = objective["MetricName"]
    if metric not in [each["Name"] for each in given["AlgorithmSpecification"].get("MetricDefinitions", [])]:
        raise ValidationException(
            "A metric is required for this hyperparameter tuning job objective. Provide a metric in the metric definitions."
        )
    if given.get("HyperParameterTuningResourceConfig", {}).get("InstanceConfigs"):
        raise unsupported("a choice of instance types (HyperParameterTuningResourceConfig.InstanceConfigs)")
    space = read_space(ranges)
    static = given.get("StaticHyperParameters", {})
    twice = sorted({item.name for item in space.ranges} & static.keys())
    if twice:
        raise ValidationException(f"Hyperparameters cannot be both static and tunable: {', '.join(twice)}.")
    return Definition(
        request={**given, "StaticHyperParameters": {**static, METRIC_HYPERPARAMETER: metric}},
        objective=Objective(metric, objective["Type"] == "Maximize"),
        space=space,
        search=_search(config, space),
        stopping=_stopping(config, static),
    )


def _search(config: Params, space: Space) -> SearchStrategy:
    seed = config.get("RandomSeed")
    if config["Strategy"] == "Bayesian":
        return BayesianSearch(space, seed)
    if config["Strategy"] == "Grid":
        if not space.only_categories:
            raise ValidationException("The Grid strategy supports categorical parameter ranges only.")
        return GridSearch(space)
    return RandomSearch(space, seed)


def _stopping(config: Params, static: dict[str, Any]) -> StoppingRule:
    if config["Strategy"] == "Hyperband":
        limits = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
        inferred = [static[name] for name in _EPOCHS if name in static]
        most = limits.get("MaxResource") or (inferred[0] if inferred else None)
        if most is None or not str(most).isdigit():
            raise ValidationException(
                "The Hyperband strategy needs MaxResource, or a static hyperparameter that names the number of epochs."
            )
        return SuccessiveHalving(limits.get("MinResource", 1), int(most))
    return MedianStopping() if config.get("TrainingJobEarlyStoppingType") == "Auto" else NoStopping()
