"""What of a customer's personal data each role may read.

Names, phones, e-mail addresses and national ids are read by no stage and not kept: no role reads
them here.
"""

from __future__ import annotations

MANAGER, COMPLIANCE = "manager", "compliance"

BUSINESS = ("customer_kind", "industry", "company_size", "is_inclusive_finance", "group_id")
# Needed to serve a customer and to respect an opt-out from marketing.
FOR_SERVICE = (
    *("customer_since", "household_id", "household_size", "marketing_consent"),
    *BUSINESS,
)
WITHHELD = (
    *("birth_date", "age", "sex", "marital_status", "education", "occupation"),
    *("monthly_income", "district_id", "region"),
)
# Role → the columns of `base.customer` tagged personal that it may read.
ROLES: dict[str, frozenset[str]] = {
    MANAGER: frozenset(FOR_SERVICE),
    COMPLIANCE: frozenset((*FOR_SERVICE, *WITHHELD)),
}


class RoleUnknown(ValueError):
    """There is no such role."""


def withheld_from(role: str) -> frozenset[str]:
    """The personal columns that a role may not read.

    Raises
    ------
    RoleUnknown
        For a role that is not in `ROLES`; names those there are.
    """
    if role not in ROLES:
        raise RoleUnknown(f"role {role!r} is invalid: expected one of {', '.join(sorted(ROLES))}")
    return ROLES[COMPLIANCE] - ROLES[role]
