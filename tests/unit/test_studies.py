"""What the studies declare, beside what else is known of the models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ml.serving import ANSWERS
from orchestration.models.scores_page import FILES
from orchestration.models.scoring import CUSTOMER, TABLES
from orchestration.models.studies import OF_CUSTOMERS, STUDIES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_declares_every_column_that_its_model_answers(name: str) -> None:
    declared = [column.name for column in STUDIES[name].columns]
    answered = list(ANSWERS[name].columns)
    assert declared[: len(answered)] == answered
    # The others are filled by the study.
    assert (len(declared) > len(answered)) == (STUDIES[name].beside is not None)


def test_the_columns_of_customers_scores_are_those_of_the_studies_in_their_order() -> None:
    assert [column.name for column in CUSTOMER.columns] == [
        "customer_id",
        *("clv_12m", "clv_36m", "clv_low", "clv_high", "clv_horizon_months", "clv_model_version"),
        *("p_attrition", "value_at_risk", "attrition_model_version"),
        *("p_default", "default_model_version"),
        *("p_high_value", "high_value_model_version"),
        *("segment", "segment_name", "segment_rule", "segment_model_version"),
    ]


def test_every_column_of_a_score_has_a_meaning() -> None:
    columns = [column for table in TABLES for column in table.columns]
    columns += [column for study in STUDIES.values() for column in study.columns]
    assert all(column.meaning for column in columns)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_files_generated_from_the_studies_are_current(file: Path) -> None:
    """The page of the scores, the dbt sources of their tables, and the model that joins them."""
    assert file.read_text(encoding="utf-8") == FILES[file](), (
        "run: python -m orchestration.models.scores_page"
    )


def test_a_customer_on_the_page_has_the_labelled_scores() -> None:
    labels = [column.label for study in OF_CUSTOMERS for column in study.columns if column.label]
    assert len(labels) == len(set(labels)) == 6


def test_studies_are_declared_without_importing_the_learners() -> None:
    code = (
        "import sys; import orchestration.models.studies;"
        " assert not {'sklearn', 'mlflow', 'pandas', 'great_expectations'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
