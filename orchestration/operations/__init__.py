"""Run the stages: jobs, schedules, the UI, the check of a delivery."""
