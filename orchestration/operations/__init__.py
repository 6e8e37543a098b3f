"""How the stages are run: jobs, schedules, the UI, health, a delivery judged alone."""
