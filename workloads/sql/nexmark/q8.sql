-- Q8, monitor new users: persons that registered and opened an auction within the same window of 10 seconds.
select p.id, p.name, p.starttime
from (
    select id, name, date_bin('10 seconds', date_time, timestamp '2015-07-15') as starttime
    from person
    group by id, name, date_bin('10 seconds', date_time, timestamp '2015-07-15')
) p
join (
    select seller, date_bin('10 seconds', date_time, timestamp '2015-07-15') as starttime
    from auction
    group by seller, date_bin('10 seconds', date_time, timestamp '2015-07-15')
) a on p.id = a.seller and p.starttime = a.starttime
