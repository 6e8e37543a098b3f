select holder.customer_id
from base.account_holder as holder
inner join contacts.contactability as contactability
    on holder.customer_id = contactability.customer_id
where holder.account_id = $account and contactability.suppression = 'erased'
