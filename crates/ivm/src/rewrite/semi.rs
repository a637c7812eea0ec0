//! ⋉: `π(L) ⋉ R = π(L ⋉ R)`, so that a join reads the scans below the projection.

use super::{movable, project, substituted};
use crate::plan::{Plan, Project, Semi};

pub fn semi(semi: Semi) -> Plan {
    let Semi { left, right, on, anti } = semi;
    if let Plan::Project(p) = left {
        if let Some(on) = substituted(&on, &p.columns).filter(|_| movable(&p)) {
            let Project { input, columns } = *p;
            return project::project(self::semi(Semi { left: input, right, on, anti }), columns);
        }
        return Plan::Project(p).semi_join(right, on, anti);
    }
    left.semi_join(right, on, anti)
}
