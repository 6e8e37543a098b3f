-- Loans in early warning, the worst severity first, then the largest expected loss.
select
    alert.severity,
    alert.account_id,
    alert.customer_id,
    account.product_line,
    account.branch_id,
    alert.employee_id,
    alert.days_past_due,
    alert.p_default,
    alert.p_default_before,
    alert.exposure,
    alert.loss_given_default,
    alert.expected_loss_12m,
    alert.reason
from alerts.credit as alert
left join base.account as account on alert.account_id = account.account_id
order by
    list_position(['alarm', 'warning', 'watch'], alert.severity),
    alert.expected_loss_12m desc,
    alert.account_id
