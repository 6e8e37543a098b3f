"""Nothing in the pipeline reads the hidden truth."""

from pathlib import Path

from orchestration.platform.environment import PROJECT


def test_the_hidden_truth_is_written_by_its_generator_and_read_by_no_pipeline_code():
    allowed = {
        Path("orchestration/platform/settings.py"),
        Path("orchestration/landing/chosen_source.py"),
    }
    generator = Path("sources/synthetic")
    readers = []
    for package in ("orchestration", "sources", "ml", "expectations", "dbt_project"):
        for path in (PROJECT / package).rglob("*"):
            relative = path.relative_to(PROJECT)
            if path.suffix not in {".py", ".sql"} or relative.is_relative_to(generator):
                continue
            text = path.read_text()
            names_truth = ".truth" in text or "truth/" in text or "truth_folder" in text
            if names_truth and relative not in allowed:
                readers.append(str(relative))
    assert readers == []
