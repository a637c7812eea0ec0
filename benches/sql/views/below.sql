with recursive below (top, id) as (
  select id, id from nodes where parent = 1
  union
  select b.top, n.id
  from below b
  join nodes n on n.parent = b.id
)
select top, id from below
