"""What operators do with models: train, watch, promote, roll back, drill, and ask for lineage."""
