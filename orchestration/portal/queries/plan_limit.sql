-- Each limit, how far it is used, and what a tenth more of it would bring at its shadow price.
select
    kind,
    key,
    capacity::decimal(18, 2) as capacity,
    used::decimal(18, 2) as used,
    used / nullif(capacity, 0) as used_share,
    shadow_price::decimal(18, 2) as shadow_price,
    (greatest(shadow_price, 0) * capacity / 10)::decimal(18, 2) as gain_of_a_tenth
from decisions.constraint_price
order by gain_of_a_tenth desc nulls last, used_share desc nulls last, kind asc, key asc
