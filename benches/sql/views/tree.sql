with recursive tree (id, depth, path) as (
  select id, 0, name from nodes where parent is null
  union all
  select n.id, t.depth + 1, t.path || '/' || n.name
  from tree t
  join nodes n on n.parent = t.id
)
select id, depth, path from tree
