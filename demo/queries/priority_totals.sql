-- On top of q12: how many late line items of either urgency, over all shipping modes.
with late as (
    select 'urgent' as urgency, l_shipmode, high_line_count as lines from q12
    union all
    select 'other' as urgency, l_shipmode, low_line_count as lines from q12
)
select urgency, sum(lines) as lines, count(*) as modes, max(lines) as most_in_one_mode
from late
group by urgency
