-- The bank's own first.
select seed, origin, parse_filename(path) as file, rows, sha256
from meta.reference_data
order by origin = 'default', seed
