"""Rows to scores: inside this process or at a SageMaker endpoint, with retries and a circuit breaker."""
