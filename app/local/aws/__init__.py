"""The local AWS: moto's server with real work behind SageMaker training, hosting and invocation, and an API Gateway.

Where to look: ``server`` (the whole), ``front`` (which request goes where), then one module a subject: ``training``,
``tuning``, ``models``, ``hosting``, ``invocation``, ``transform``, ``policies``, ``tags``, ``formation``; ``container`` is what runs
inside an
endpoint. Further calls are a module with an ``operations()`` table that ``server`` adds to the front's.

Known deviations from AWS:

* One account (123456789012) and one region a server; signatures and permissions are not checked. One server a process.
* Jobs and containers are processes with this interpreter and its libraries, not the image; ``/opt/ml`` is rewritten to
  a directory in commands, environment values and the SDK's driver scripts, so code must read ``SM_*`` instead of writing
  the path out. A ``requirements.txt`` or ``setup.py`` beside toolkit-mode code is not installed.
* A host of a training job is a process; its peers' names resolve in Python's ``socket`` only. One process a variant
  whatever the instance count or type; at most two jobs run at once.
* ``ShardedByS3Key`` deals objects out in turn, in the order of their keys; AWS says about 1/n. Where two hosts leave a file
  of the same name in ``/opt/ml/model``, the first host's goes into the artefact.
* Spot instances are taken away on request only (``AwsServer.interrupt_training``), and billable seconds are the seconds on
  instances: no discount is shown.
* Tuning: ScalingType Auto is Linear; Hyperband is asynchronous successive halving in one bracket; Autotune, several
  instance types, ConvergenceDetected and the warm start TransferLearning are refused.
* A container that dies before its first ping fails the endpoint at once; AWS keeps trying for minutes.
* ``DeploymentConfig`` is accepted, traffic shifts all at once; data capture, shadow variants, asynchronous and streamed
  invocation, inference components, multi-model and pipeline models, Pipe mode and built-in algorithms are
  refused in a sentence.
* An endpoint under update or deletion goes through Updating and Deleting only; SystemUpdating and RollingBack are not shown.
* IAM simulation knows the string, ARN, number, Bool and Null operators of conditions and refuses the others.
* Batch transform runs one job at a time, and takes no ``/execution-parameters`` from the container.
* CloudFormation refuses resource types and bucket settings that moto would drop.
* The gateway checks no SigV4 signature and routes every path of its stage to the backend.
"""
