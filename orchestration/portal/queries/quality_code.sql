from meta.bad_code
order by rows desc, table_name, column_name
