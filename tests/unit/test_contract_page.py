"""The contract's page says what the contract says."""

from orchestration.sources.contract_page import PAGE, contract_page


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == contract_page(), (
        "run: python -m orchestration.sources.contract_page"
    )
