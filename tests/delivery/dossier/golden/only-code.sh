export DOSSIER_URL=s3://vision-reports/dossier/e3/prod/index.html
export DOSSIER_SUMMARY='Only code changes in prod: 1 resource. 2 commits since the last deployment. No permission is broadened, nothing that holds data is replaced or deleted. Smoke test of staging passed (42 s, accuracy 98.9%). A month costs about 162 USD.'
export DOSSIER_RISK=none
export DOSSIER_RISKS=none
