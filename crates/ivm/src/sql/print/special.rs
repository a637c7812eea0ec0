//! Constructs that SQL spells with keywords, as text.

use super::Printer;
use super::expr::Part;
use crate::expr::{Keyword, Special, TrimSide};
use crate::sql::ast::{Expr, Name, Query};
use crate::sql::ident::Ident;

impl Printer {
    pub(super) fn special(&mut self, special: &Special<Name, Query>) {
        match special {
            Special::Extract(field, e) => {
                self.put(format_args!("EXTRACT({} FROM ", Ident::new(field)));
                self.expr(e);
                self.put(")");
            }
            Special::Position(needle, hay) => self.phrase("POSITION((", needle, &[(") IN (", Some(hay))], "))"),
            Special::Substring(e, from, count) => {
                self.phrase("SUBSTRING(", e, &[(" FROM ", from.as_ref()), (" FOR ", count.as_ref())], ")");
            }
            Special::Overlay(e, new, from, count) => {
                let rest = [(" PLACING ", Some(new)), (" FROM ", Some(from)), (" FOR ", count.as_ref())];
                self.phrase("OVERLAY(", e, &rest, ")");
            }
            Special::Trim(side, what, e) => {
                self.put(match side {
                    TrimSide::Both => "TRIM(BOTH",
                    TrimSide::Leading => "TRIM(LEADING",
                    TrimSide::Trailing => "TRIM(TRAILING",
                });
                if let Some(what) = what {
                    self.put(" ");
                    self.expr(what);
                }
                self.phrase(" FROM ", e, &[], ")");
            }
            Special::AtTimeZone(e, zone) => self.sequence(&[e as &dyn Part, &"AT TIME ZONE", zone]),
            Special::Normalize(e, form) => {
                let form = form.as_ref().map(|form| format!(", {form}")).unwrap_or_default();
                self.phrase("NORMALIZE(", e, &[], &format!("{form})"));
            }
            Special::IsNormalized(e, form, negated) => {
                let not = if *negated { "NOT " } else { "" };
                let form = form.as_ref().map(|form| format!("{form} ")).unwrap_or_default();
                self.sequence(&[e as &dyn Part, &format!("IS {not}{form}NORMALIZED")]);
            }
            Special::Overlaps([a, b], [c, d]) => {
                self.phrase("((", a, &[(", ", Some(b)), (") OVERLAPS (", Some(c)), (", ", Some(d))], "))");
            }
        }
    }

    /// A function whose arguments are separated by keywords.
    fn phrase(&mut self, open: &str, first: &Expr, rest: &[(&str, Option<&Expr>)], close: &str) {
        self.put(open);
        self.expr(first);
        for (keyword, e) in rest {
            if let Some(e) = e {
                self.put(keyword);
                self.expr(e);
            }
        }
        self.put(close);
    }
}

impl Keyword {
    pub const ALL: [Keyword; 12] = [
        Keyword::CurrentDate,
        Keyword::CurrentTime,
        Keyword::CurrentTimestamp,
        Keyword::Localtime,
        Keyword::Localtimestamp,
        Keyword::CurrentRole,
        Keyword::CurrentUser,
        Keyword::User,
        Keyword::SessionUser,
        Keyword::SystemUser,
        Keyword::CurrentCatalog,
        Keyword::CurrentSchema,
    ];

    /// The word itself.
    pub fn text(self) -> &'static str {
        match self {
            Keyword::CurrentDate => "CURRENT_DATE",
            Keyword::CurrentTime => "CURRENT_TIME",
            Keyword::CurrentTimestamp => "CURRENT_TIMESTAMP",
            Keyword::Localtime => "LOCALTIME",
            Keyword::Localtimestamp => "LOCALTIMESTAMP",
            Keyword::CurrentRole => "CURRENT_ROLE",
            Keyword::CurrentUser => "CURRENT_USER",
            Keyword::User => "USER",
            Keyword::SessionUser => "SESSION_USER",
            Keyword::SystemUser => "SYSTEM_USER",
            Keyword::CurrentCatalog => "CURRENT_CATALOG",
            Keyword::CurrentSchema => "CURRENT_SCHEMA",
        }
    }
}
