"""How a commit reaches production: the pipeline, its gates and its promotion."""
