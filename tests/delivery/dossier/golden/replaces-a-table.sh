export DOSSIER_URL=s3://vision-reports/dossier/e3/prod/index.html
export DOSSIER_SUMMARY='Resources in prod: 1 replaced. 2 commits since the last deployment. TO BE CONFIRMED (1 risk): Table Lineage/Table is replaced (TableName cannot change in place): the old one is kept, but nothing uses it any more. Smoke test of staging passed (42 s, accuracy 98.9%). A month costs about 162 USD.'
export DOSSIER_RISK=confirm
export DOSSIER_RISKS='Table Lineage/Table is replaced (TableName cannot change in place): the old one is kept, but nothing uses it any more'
