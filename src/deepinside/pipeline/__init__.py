"""From a configuration to finished artifacts: the table of stages, plans, execution, sweeps and estimates."""
