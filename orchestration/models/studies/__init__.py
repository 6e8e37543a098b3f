"""One study a registered model, in the order in which they are trained and scored."""

from __future__ import annotations

from collections.abc import Mapping

from orchestration.models.declaration import Declaration
from orchestration.models.studies.attrition import ATTRITION
from orchestration.models.studies.clv import CLV
from orchestration.models.studies.default import DEFAULT
from orchestration.models.studies.high_value import HIGH_VALUE
from orchestration.models.studies.product_value import PRODUCT_VALUE
from orchestration.models.studies.response import RESPONSE
from orchestration.models.studies.segment import SEGMENT
from orchestration.models.studies.uplift import UPLIFT

STUDIES: Mapping[str, Declaration] = {
    one.name: one
    for one in (
        *(CLV, ATTRITION, DEFAULT, HIGH_VALUE, SEGMENT),
        # The response first: it bounds the uplift.
        *(RESPONSE, UPLIFT, PRODUCT_VALUE),
    )
}
OF_CUSTOMERS = tuple(one for one in STUDIES.values() if one.scores == "customer")
OF_OFFERS = tuple(one for one in STUDIES.values() if one.scores == "offer")
