-- The products with a rate, the terms at which each is held, and the longest term with a price.
select
    release.release_id,
    release.as_of,
    floor.product_id,
    bool_or(floor.term_months = 0) as has_no_term,
    bool_and(floor.loss_rate is not null) as is_measured,
    max(term.longest) as longest
from meta.release as release
cross join decisions.price_floor as floor
left join (
    select
        product_id,
        max(term_months) as longest
    from decisions.term_price
    group by product_id
) as term on floor.product_id = term.product_id
where floor.floor_kind <> 'lowest monthly fee'
group by release.release_id, release.as_of, floor.product_id
order by floor.product_id
