//! ⋉: `π(L) ⋉ R = π(L ⋉ R)`, so that a join reads the scans below the projection.

use super::{movable, project, substitute, substituted};
use crate::plan::{Plan, Semi};

pub fn semi(semi: Semi) -> Plan {
    match semi.left {
        Plan::Project(p) if movable(&p) && substituted(&semi.on, &p.columns).is_some() => {
            let on = substitute(&semi.on, &p.columns);
            project::project(self::semi(Semi { left: p.input, on, ..semi }), p.columns)
        }
        left => left.semi_join(semi.right, semi.on, semi.anti),
    }
}
