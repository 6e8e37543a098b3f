from orchestration.cli import run

run()
