-- The newest extracts first.
select
    table_name,
    path as file,
    extract_month,
    rows,
    landed,
    quarantined,
    after_as_of,
    before_first_month,
    sha256
from meta.input_file
order by quarantined > 0 desc, extract_month desc, table_name, path
