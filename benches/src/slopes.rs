//! How does a cost grow with a size on which it should not depend, or no more than in proportion?
//!
//! One section for each question, over at least three sizes: `--only NAME` runs that section alone.

mod backlog;
mod groups;
mod matches;
mod skew;
mod slope;
mod values;

use crate::Result;
use crate::options::Options;
use crate::report::Report;
use crate::server::Server;

#[derive(Clone, Copy, PartialEq)]
enum Section {
    Values,
    Backlog,
    Matches,
    Groups,
    Skew,
}

impl Section {
    const ALL: [Section; 5] = [Section::Values, Section::Backlog, Section::Matches, Section::Groups, Section::Skew];

    fn name(self) -> &'static str {
        match self {
            Section::Values => "values",
            Section::Backlog => "backlog",
            Section::Matches => "matches",
            Section::Groups => "groups",
            Section::Skew => "skew",
        }
    }
}

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let is_wanted = |section: &Section| options.only.as_ref().is_none_or(|only| only == section.name());
    let wanted: Vec<Section> = Section::ALL.into_iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        let names = Section::ALL.map(Section::name).join(", ");
        return Err(format!("there is no such section; --only is one of: {names}").into());
    }
    for section in wanted {
        match section {
            Section::Values => values::run(server, report).await,
            Section::Backlog => backlog::run(server, options, report).await,
            Section::Matches => matches::run(server, report).await,
            Section::Groups => groups::run(server, options, report).await,
            Section::Skew => skew::run(server, options, report).await,
        }?;
    }
    Ok(())
}
