{#- Reference data of another content. -#}
select
    seed,
    before_seed.origin as origin_before,
    after_seed.origin as origin_after
from before.meta.reference_data as before_seed
full join after.meta.reference_data as after_seed using (seed)
where before_seed.sha256 is distinct from after_seed.sha256
order by seed
