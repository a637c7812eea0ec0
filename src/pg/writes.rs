//! The transactions whose captured changes the statements of this session must see in stream tables.

use std::cell::Cell;
use std::ffi::CString;

use pgrx::guc::GucSetting;

use crate::pg::{session, setting, xact};

/// Whether statements must see what this session has committed.
pub static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(false);
/// A [`token`] of a transaction, of any session, whose changes they must see.
pub static READ_AFTER: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// What statements must see; a number is 0 for none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The last transaction of this session that wrote changes: a snapshot that sees it sees all earlier ones.
    pub own: u64,
    /// All transactions of the server up to this one: those are among them that this session had prepared and has committed.
    pub all_to: u64,
    /// A transaction that may run in another session.
    pub other: u64,
}

impl Needs {
    pub fn newest(&self) -> u64 {
        self.own.max(self.all_to).max(self.other)
    }
}

thread_local! {
    static OWN: Cell<Needs> = const { Cell::new(Needs { own: 0, all_to: 0, other: 0 }) };
    /// That of the token.
    static OTHER: Cell<Needs> = const { Cell::new(Needs { own: 0, all_to: 0, other: 0 }) };
}

/// This transaction, which wrote changes, is committed. For the end of a commit: a store.
pub fn committed(xid: u64) {
    OWN.set(Needs { own: xid, ..OWN.get() });
}

/// This session is about to commit a prepared transaction.
pub fn commits_prepared() {
    OWN.set(Needs { all_to: xact::next_xid() - 1, ..OWN.get() });
}

/// What the statement must see, if anything.
#[inline]
pub fn needs() -> Option<Needs> {
    let (own, other) = (OWN.get(), OTHER.get());
    if own.own | own.all_to | other.other | other.all_to == 0 || session::is_open() {
        return None;
    }
    let needs = match ENABLED.get() {
        true => Needs { own: own.own, all_to: own.all_to.max(other.all_to), other: other.other },
        false => other,
    };
    (needs != Needs::default()).then_some(needs)
}

/// After the number in the token of a transaction that had been prepared, whose id is not known.
const ALL: char = '+';

/// The token of the last transaction of this session that wrote changes, or of this one, if it has written any.
pub fn token(has_written: bool) -> Option<String> {
    let Needs { own, all_to, .. } = OWN.get();
    match (has_written, own, all_to) {
        (true, _, _) => Some(xact::top_xid().to_string()),
        (false, 0, 0) => None,
        (false, own, all_to) if own > all_to => Some(own.to_string()),
        (false, _, all_to) => Some(format!("{all_to}{ALL}")),
    }
}

/// A token as the value of a setting.
pub struct Token;

impl Token {
    fn parse(value: &str) -> Option<Needs> {
        let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        match value.strip_suffix(ALL) {
            _ if value.is_empty() => Some(Needs::default()),
            Some(all_to) => Some(Needs { all_to: number(all_to)?, ..Needs::default() }),
            None => Some(Needs { other: number(value)?, ..Needs::default() }),
        }
    }
}

impl setting::Check for Token {
    fn check(value: &str) -> Result<(), String> {
        let what = || "it is neither empty nor a token of pgtrickle.last_write()".to_owned();
        Token::parse(value).map(|_| ()).ok_or_else(what)
    }

    fn assign(value: &str) {
        OTHER.set(Token::parse(value).unwrap_or_default());
    }
}
