select coalesce(sum(quarantined), 0)::bigint as count, null::date as due, null::decimal(18, 2) as amount
from meta.input_file
