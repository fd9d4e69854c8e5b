"""What is delivered as one unit: the platform of one environment, its stacks and its settings."""
