"""`@conda` and `@pypi` without environments, for a flow whose image has the packages: they travel with its code."""

STEP_DECORATORS_DESC = [("conda", ".noted.NotedConda"), ("pypi", ".noted.NotedPypi")]
FLOW_DECORATORS_DESC = [("conda_base", ".noted.NotedCondaBase"), ("pypi_base", ".noted.NotedPypiBase")]
