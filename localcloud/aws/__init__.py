"""The local AWS: moto's server, with real work behind SageMaker, and an API Gateway.

One package a service: ``s3``, ``iam``, ``cloudformation``, ``gateway`` and ``sagemaker`` (``training``, ``tuning``, ``transform``,
``hosting``). ``server`` starts and stops the whole, ``http`` routes requests to the services, ``containers`` runs child processes.
Differences from AWS are listed in ``docs/local-cloud.md``.
"""
