export DOSSIER_URL=s3://vision-reports/dossier/e3/prod/index.html
export DOSSIER_SUMMARY='First deployment to prod: 2 stacks, 6 resources, all new. 3 commits, none was deployed before. Nothing can be lost yet; all permissions are new, see the dossier. Smoke test of staging passed (42 s, accuracy 98.9%). Nothing has succeeded in the stage Prod yet: there is nothing to go back to. A month costs about 162 USD.'
export DOSSIER_RISK=none
export DOSSIER_RISKS=none
