//! What the extension offers to call, read from the catalogs of the server.

use pg_trickle_tests::Session;

pub struct Function {
    /// With its schema.
    pub name: String,
    pub arguments: Vec<String>,
    pub result: String,
}

pub struct Surface {
    pub functions: Vec<Function>,
    pub triggers: Vec<String>,
    /// Tables and views of the extension, change buffers, parts of stream tables.
    pub relations: Vec<String>,
}

impl Surface {
    pub async fn read(admin: &Session) -> Surface {
        let rows = admin
            .rows(
                "select format('%I.%I', n.nspname, p.proname),
                        array_to_string(array(select format_type(t, null) from unnest(p.proargtypes) t), '|'),
                        format_type(p.prorettype, null)
                   from pg_depend d
                   join pg_extension e on e.oid = d.refobjid and e.extname = 'pg_trickle'
                   join pg_proc p on p.oid = d.objid
                   join pg_namespace n on n.oid = p.pronamespace
                  where d.classid = 'pg_proc'::regclass and d.deptype = 'e'
                  order by 1",
            )
            .await;
        let (mut functions, mut triggers) = (vec![], vec![]);
        for row in rows {
            let [name, arguments, result] = <[_; 3]>::try_from(row).expect("three columns");
            let name = name.expect("a function has a name");
            let arguments = arguments.unwrap_or_default();
            let arguments = arguments.split('|').filter(|ty| !ty.is_empty()).map(str::to_owned).collect();
            let result = result.unwrap_or_default();
            if result.ends_with("trigger") {
                triggers.push(name.clone());
            }
            functions.push(Function { name, arguments, result });
        }
        let relations = admin
            .column(
                "select c.oid::regclass::text
                   from pg_class c
                  where c.relkind in ('r', 'v', 'S')
                    and (c.relnamespace = any ('{pgtrickle_state,pgtrickle_changes}'::regnamespace[])
                         or exists (select from pg_depend d join pg_extension e on e.oid = d.refobjid
                                     where e.extname = 'pg_trickle' and d.classid = 'pg_class'::regclass
                                       and d.objid = c.oid and d.deptype = 'e'))
                  order by 1",
            )
            .await;
        Surface { functions, triggers, relations }
    }
}
