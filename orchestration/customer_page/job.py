"""The job that writes a customer's page on request."""

import dagster as dg
from pydantic import Field

from orchestration.platform.resources import Home
from orchestration.platform.runs import CUSTOMER_PAGE

CUSTOMER_PAGE_OP = "write_customer_page"


class CustomerAsked(dg.Config):
    """Whose page, for whom."""

    customer_id: str = Field(description="the customer's id, as the bank delivers it")
    role: str = Field(
        default="manager",
        description="manager, or compliance, who may read protected personal data",
    )


@dg.op(
    name=CUSTOMER_PAGE_OP,
    description="note who asks, and write the page from the served release",
)
def customer_page_op(context: dg.OpExecutionContext, config: CustomerAsked, home: Home) -> None:
    from orchestration.customer_page import customer_page
    from orchestration.platform.refusal import Refused

    try:
        path = customer_page(home.settings, config.customer_id, config.role)
    except (ValueError, Refused) as error:
        raise dg.Failure(f"refused: {error}", allow_retries=False) from error
    context.add_output_metadata({"page": dg.MetadataValue.path(str(path))})


@dg.job(
    name=CUSTOMER_PAGE,
    executor_def=dg.in_process_executor,
    # The job holds no lock, so only this limit ends a run whose process died. A page takes seconds.
    tags={"dagster/max_runtime": "300"},
    description="A customer's value, credit and offers on one page; changes nothing.",
)
def customer_page_job() -> None:
    customer_page_op()
