"""The dossier: what an approver reads before a deployment, made from change sets, templates and records."""
