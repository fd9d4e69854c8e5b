export DOSSIER_URL=s3://vision-reports/dossier/e3/prod/index.html
export DOSSIER_SUMMARY='Resources in prod: 1 changed. 2 commits since the last deployment. TO BE CONFIRMED (1 risk): Role Predict/Role (vision-prod-inference) may now do: dynamodb:Scan on table Lineage/Table (vision-prod-data). Smoke test of staging passed (42 s, accuracy 98.9%). A month costs about 162 USD.'
export DOSSIER_RISK=confirm
export DOSSIER_RISKS='Role Predict/Role (vision-prod-inference) may now do: dynamodb:Scan on table Lineage/Table (vision-prod-data)'
