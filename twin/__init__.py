"""AWS on one machine: deploys and executes cloud assemblies without an account."""
