"""What the Lambda functions share: the image rules, the model spec, manifests, lineage and problems."""
