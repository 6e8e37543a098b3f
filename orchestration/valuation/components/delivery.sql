select
    bank.identity,
    file.table_name,
    file.path,
    file.sha256
from meta.bank as bank
left join meta.input_file as file on true
