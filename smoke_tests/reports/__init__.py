"""The reports of a smoke run: one page for people, JUnit for CodeBuild, a summary for programs."""
