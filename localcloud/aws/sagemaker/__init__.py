"""SageMaker: training, tuning, batch transform and hosting that do the work."""
