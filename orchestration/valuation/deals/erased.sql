select customer_id
from contacts.contactability
where customer_id = $customer and suppression = 'erased'
