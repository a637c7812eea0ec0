//! Scalar expressions: one closed type, used by SQL text and by plans.
//!
//! `Expr<C, Q>` is generic over what a column reference is (`C`) and what a subquery is (`Q`):
//! SQL text uses names and queries, plans use column ids and plans. Whatever PostgreSQL can print and
//! this type cannot hold is refused when the canonical SQL is read, never approximated.

use crate::sql::ident::{Ident, QName};
use crate::words::words;

mod op;
mod walk;

pub use walk::{Mapper, Step};

/// The most nodes of an expression into which others are substituted: a larger one is computed below.
pub const MOST_NODES: usize = 500;

/// A scalar expression over columns `C` and subqueries `Q`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr<C, Q> {
    Column(C),
    /// `alias.*` used as a value: the whole row of a FROM item.
    WholeRow(Ident),
    Literal(Literal),
    Cast(Box<Expr<C, Q>>, TypeName),
    /// A prefix operator.
    Unary(Op, Box<Expr<C, Q>>),
    Binary(Op, Box<Expr<C, Q>>, Box<Expr<C, Q>>),
    And(Vec<Expr<C, Q>>),
    Or(Vec<Expr<C, Q>>),
    Not(Box<Expr<C, Q>>),
    /// `expr IS [NOT] NULL | TRUE | FALSE | UNKNOWN`.
    Is(Box<Expr<C, Q>>, IsTest),
    /// `left IS DISTINCT FROM right`.
    Distinct(Box<Expr<C, Q>>, Box<Expr<C, Q>>),
    Case(Box<Case<C, Q>>),
    Call(Box<Call<C, Q>>),
    /// A function that SQL spells with keywords (`EXTRACT`, `TRIM`, …), and its operands in reading order.
    Special(Special, Vec<Expr<C, Q>>),
    /// `CURRENT_DATE` and the like, with an optional precision.
    Keyword(Keyword, Option<u32>),
    Array(Vec<Expr<C, Q>>),
    Row(Vec<Expr<C, Q>>),
    Subscript(Box<Expr<C, Q>>, Vec<Index<C, Q>>),
    Field(Box<Expr<C, Q>>, Ident),
    Collate(Box<Expr<C, Q>>, QName),
    /// `left op ANY|ALL (array)`.
    Quantified(Box<Quantified<C, Q, Expr<C, Q>>>),
    /// `left op ANY|ALL (subquery)`; `IN (subquery)` is `InQuery`.
    QuantifiedQuery(Box<Quantified<C, Q, Q>>),
    /// `left IN (subquery)`; a row on the left for several columns.
    InQuery(Box<Expr<C, Q>>, Box<Q>),
    Exists(Box<Q>),
    /// A subquery used as one value.
    Scalar(Box<Q>),
    /// `ARRAY(subquery)`.
    ArrayOf(Box<Q>),
    /// `GROUPING(…)`.
    Grouping(Vec<Expr<C, Q>>),
}

/// A constant as PostgreSQL prints it. Strings hold their value, not their quoted text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Literal {
    Null,
    Bool(bool),
    /// Digits as printed, unsigned.
    Number(String),
    String(String),
    /// `B'…'` and `X'…'`: the prefix letter and the digits.
    Bits(char, String),
}

/// A type name as PostgreSQL prints it, verbatim, after its parts were parsed as a type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TypeName(pub String);

/// An operator, with its schema when PostgreSQL printed `OPERATOR(schema.op)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Op {
    pub schema: Option<Ident>,
    pub symbol: String,
}

words! {
    IsTest {
        Null "NULL",
        NotNull "NOT NULL",
        True "TRUE",
        NotTrue "NOT TRUE",
        False "FALSE",
        NotFalse "NOT FALSE",
        Unknown "UNKNOWN",
        NotUnknown "NOT UNKNOWN",
    }
}

/// `CASE [operand] WHEN … THEN … [ELSE …] END`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Case<C, Q> {
    pub operand: Option<Expr<C, Q>>,
    pub arms: Vec<(Expr<C, Q>, Expr<C, Q>)>,
    pub otherwise: Option<Expr<C, Q>>,
}

/// A function, aggregate or window function call. `COALESCE`, `GREATEST`, `LEAST` and `NULLIF` are
/// calls too: they print alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call<C, Q> {
    pub name: QName,
    pub args: Vec<Argument<C, Q>>,
    /// `f(*)`.
    pub star: bool,
    pub distinct: bool,
    pub order_by: Vec<Order<C, Q>>,
    pub within_group: Vec<Order<C, Q>>,
    pub filter: Option<Expr<C, Q>>,
    pub over: Option<Over<C, Q>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Argument<C, Q> {
    /// `name => value`.
    pub name: Option<Ident>,
    pub variadic: bool,
    pub value: Expr<C, Q>,
}

/// One key of an ORDER BY.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order<C, Q> {
    pub expr: Expr<C, Q>,
    pub direction: Direction,
    /// `Some(true)` is NULLS FIRST; `None` when PostgreSQL printed nothing.
    pub nulls_first: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    Ascending,
    Descending,
    Using(Op),
}

/// What follows OVER: a name from the WINDOW clause or a definition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Over<C, Q> {
    Named(Ident),
    Window(Window<C, Q>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window<C, Q> {
    /// An earlier window that this one refines.
    pub base: Option<Ident>,
    pub partition_by: Vec<Expr<C, Q>>,
    pub order_by: Vec<Order<C, Q>>,
    pub frame: Option<Frame<C, Q>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame<C, Q> {
    pub unit: FrameUnit,
    pub start: Bound<C, Q>,
    /// `None` when only the start was printed.
    pub end: Option<Bound<C, Q>>,
}

words! {
    FrameUnit {
        Rows "ROWS",
        Range "RANGE",
        Groups "GROUPS",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bound<C, Q> {
    UnboundedPreceding,
    Preceding(Expr<C, Q>),
    CurrentRow,
    Following(Expr<C, Q>),
    UnboundedFollowing,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Special {
    /// `EXTRACT(field FROM value)`.
    Extract(Ident),
    /// `POSITION(needle IN haystack)`.
    Position,
    /// `SUBSTRING(value [FROM start] [FOR count])`; `from` says whether there is a start.
    Substring { from: bool },
    /// `OVERLAY(value PLACING new FROM start [FOR count])`.
    Overlay,
    /// `TRIM(side [what] FROM value)`.
    Trim(TrimSide),
    /// `(value AT TIME ZONE zone)`.
    AtTimeZone,
    /// `NORMALIZE(value [, form])`.
    Normalize(Option<String>),
    /// `value IS [NOT] form NORMALIZED`: form, negated.
    IsNormalized(Option<String>, bool),
    /// `((start, end) OVERLAPS (start, end))`.
    Overlaps,
}

words! {
    TrimSide {
        Both "BOTH",
        Leading "LEADING",
        Trailing "TRAILING",
    }
}

words! {
    /// Values of SQL that look like keywords. All depend on the clock or the session.
    Keyword {
        CurrentDate "CURRENT_DATE",
        CurrentTime "CURRENT_TIME",
        CurrentTimestamp "CURRENT_TIMESTAMP",
        Localtime "LOCALTIME",
        Localtimestamp "LOCALTIMESTAMP",
        CurrentRole "CURRENT_ROLE",
        CurrentUser "CURRENT_USER",
        User "USER",
        SessionUser "SESSION_USER",
        SystemUser "SYSTEM_USER",
        CurrentCatalog "CURRENT_CATALOG",
        CurrentSchema "CURRENT_SCHEMA",
    }
}

/// One subscript: `[at]` or the slice `[from:to]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Index<C, Q> {
    At(Expr<C, Q>),
    Slice(Option<Expr<C, Q>>, Option<Expr<C, Q>>),
}

/// `left op ANY|ALL (right)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quantified<C, Q, R> {
    pub left: Expr<C, Q>,
    pub op: Op,
    pub all: bool,
    pub right: R,
}

impl<C, Q> Expr<C, Q> {
    pub fn binary(op: &str, left: Self, right: Self) -> Self {
        Expr::Binary(Op::plain(op), Box::new(left), Box::new(right))
    }

    pub fn equals(left: Self, right: Self) -> Self {
        Self::binary("=", left, right)
    }

    pub fn not_distinct(left: Self, right: Self) -> Self {
        Expr::Not(Box::new(Expr::Distinct(Box::new(left), Box::new(right))))
    }

    pub fn is(self, test: IsTest) -> Self {
        Expr::Is(Box::new(self), test)
    }

    /// There is a value. `IS NOT NULL` is another question where the value is a row: whether all its fields have one.
    pub fn is_present(self) -> Self {
        Expr::Distinct(Box::new(self), Box::new(Self::null()))
    }

    /// There is no value; a row of NULLs is one.
    pub fn is_absent(self) -> Self {
        Expr::Not(Box::new(self.is_present()))
    }

    pub fn cast(self, ty: &str) -> Self {
        Expr::Cast(Box::new(self), TypeName(ty.to_owned()))
    }

    pub fn number(n: i64) -> Self {
        match n < 0 {
            true => Expr::Unary(Op::plain("-"), Box::new(Self::number(-n))),
            false => Expr::Literal(Literal::Number(n.to_string())),
        }
    }

    pub fn string(s: &str) -> Self {
        Expr::Literal(Literal::String(s.to_owned()))
    }

    pub fn bool(b: bool) -> Self {
        Expr::Literal(Literal::Bool(b))
    }

    pub fn null() -> Self {
        Expr::Literal(Literal::Null)
    }

    /// The conjunction of any number of conditions; TRUE for none.
    pub fn all(mut conditions: Vec<Self>) -> Self {
        match conditions.len() {
            0 => Self::bool(true),
            1 => conditions.remove(0),
            _ => Expr::And(conditions),
        }
    }

    /// The disjunction of any number of conditions; FALSE for none.
    pub fn any_of(mut conditions: Vec<Self>) -> Self {
        match conditions.len() {
            0 => Self::bool(false),
            1 => conditions.remove(0),
            _ => Expr::Or(conditions),
        }
    }

    /// `CASE WHEN … THEN … ELSE otherwise END`.
    pub fn case(arms: Vec<(Self, Self)>, otherwise: Self) -> Self {
        Expr::Case(Box::new(Case { operand: None, arms, otherwise: Some(otherwise) }))
    }

    /// A call of a `pg_catalog` function.
    pub fn call(name: &str, args: Vec<Self>) -> Self {
        Expr::Call(Box::new(Call::new(QName::bare(name), args)))
    }

    /// The parts of a conjunction, or the expression itself.
    pub fn conjuncts(self) -> Vec<Self> {
        match self {
            Expr::And(parts) => parts.into_iter().flat_map(Self::conjuncts).collect(),
            other => vec![other],
        }
    }
}

impl<C, Q> Call<C, Q> {
    pub fn new(name: QName, args: Vec<Expr<C, Q>>) -> Self {
        let args = args.into_iter().map(|value| Argument { name: None, variadic: false, value }).collect();
        Call {
            name,
            args,
            star: false,
            distinct: false,
            order_by: vec![],
            within_group: vec![],
            filter: None,
            over: None,
        }
    }

    /// As a window call over all rows.
    pub fn over(self, order_by: Vec<Order<C, Q>>, frame: Option<Frame<C, Q>>) -> Expr<C, Q> {
        let window = Window { base: None, partition_by: vec![], order_by, frame };
        Expr::Call(Box::new(Call { over: Some(Over::Window(window)), ..self }))
    }
}
