select * replace (segment_in_words(segment_name) as segment_name)
from decisions.guide order by decisions.guide.segment_name, product_id
