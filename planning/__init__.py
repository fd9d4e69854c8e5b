"""Pure arithmetic about money and capacity: no CDK, no AWS."""
