"""The local AWS: moto's server with real work behind SageMaker training, hosting and invocation, and an API Gateway.

Where to look: ``server`` (the whole), ``front`` (which request goes where), then one module a subject: ``training``, ``tuning``,
``models``, ``hosting``, ``invocation``, ``async_inference``, ``capture``, ``transform``, ``policies``, ``tags``, ``formation``;
``container`` is what runs inside an endpoint. Further calls are a module with an ``operations()`` table that ``server`` adds to the
front's. What differs from AWS stands in ``docs/local-cloud.md``.
"""
