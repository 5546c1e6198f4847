"""IAM's operations that the local AWS answers itself; moto answers the others."""

from __future__ import annotations

from localcloud.aws.http.services import QueryService
from localcloud.aws.iam.simulation import simulate_principal_policy

SERVICE = QueryService("iam", {"SimulatePrincipalPolicy": simulate_principal_policy})
